//go:build unix

package faults_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// What is promised: no decision takes longer than its timeout and this.
const promisedSlack = 50 * time.Millisecond

// What is promised: a thousand callers of a Redis that hangs hold no more of the heap.
const promisedHeap = 64 << 20

// A crowd of callers who come again and again, while Redis gives no answer: none of them
// waits for it. The long form has a thousand and holds the promise, in the median of its
// rounds, as a machine may be busy in one.
func TestTimeBound(t *testing.T) {
	callers := shortOrLong(100, 1000)
	for _, fault := range []string{"hang", "black hole", "latency 400 ms", "hang while connecting"} {
		if !*long && fault == "latency 400 ms" {
			continue // TestNetwork has it
		}
		t.Run(fault, func(t *testing.T) {
			rounds := 1
			if *long {
				rounds = 3
			}
			var worst []time.Duration
			for range rounds {
				worst = append(worst, boundRound(t, fault, callers))
			}
			slices.Sort(worst)
			if *long {
				assert.LessOrEqual(t, worst[len(worst)/2], 250*time.Millisecond+promisedSlack, "%v", worst)
			}
		})
	}
}

func boundRound(t *testing.T, fault string, callers int) time.Duration {
	t.Helper()
	s := startServer(t)
	n := startNetwork(t, s)
	inject, lift := s.hang, s.resume
	switch fault {
	case "black hole":
		inject = func() {
			n.poison("timeout", "upstream", map[string]int{"timeout": 0})
			n.poison("timeout", "downstream", map[string]int{"timeout": 0})
		}
		lift = n.heal
	case "latency 400 ms":
		inject = func() { n.poison("latency", "downstream", map[string]int{"latency": 400}) }
		lift = n.heal
	case "hang while connecting": // the connection is made, and nobody says hello
		inject = func() {
			s.do("CLIENT", "KILL", "TYPE", "normal")
			s.hang()
		}
	}
	peak := watchPeak()
	r := scenario{
		Fault: fmt.Sprintf("%s, %d callers", fault, callers), URL: n.url(), Callers: callers,
		Hold: shortOrLong(time.Second, 5*time.Second), Inject: inject, Lift: lift,
		// Long, so that there are refusals that are asked again through the client's cache.
		Limit: slidingwindow.Limit{Name: "tested", Max: 20, Window: 3 * time.Second},
	}.run(t)
	goroutines, heap := peak()
	t.Logf("at most %d goroutines, %d MB of heap in use", goroutines, heap>>20)
	assert.Less(t, goroutines, 3*callers+shortOrLong(1000, 200), "goroutines") // connections and the proxy have some, too
	assert.Less(t, heap, uint64(promisedHeap), "bytes in use, without what the test records")
	return r.Worst
}

// inUse is how much of the heap is in use. Garbage does not count: there is as much of it as the
// records of calls make the collector allow.
func inUse() uint64 {
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return memory.HeapAlloc
}

// watchPeak watches how many goroutines there are, and how much more of the heap is in use than
// now, without the records of calls, until told to stop.
func watchPeak() (stop func() (goroutines int, heap uint64)) {
	ended, done := make(chan struct{}), make(chan struct{})
	before := inUse() // other tests leave something behind
	var goroutines int
	var heap uint64
	go func() {
		defer close(done)
		for {
			select {
			case <-ended:
				return
			case <-time.After(100 * time.Millisecond):
			}
			goroutines = max(goroutines, runtime.NumGoroutine())
			known := before + recorded.Load() // before others are made
			now := inUse()
			heap = max(heap, now-min(now, known))
		}
	}()
	return func() (int, uint64) {
		close(ended)
		<-done
		return goroutines, heap
	}
}

// What was sent to a Redis that hangs counts when it wakes, although its callers were told
// that there was no answer: a bounded part of what they asked for.
func TestLateWritesOfAHang(t *testing.T) {
	const callers, quota = 200, 100_000
	s := startServer(t)
	limiter := connect(t, s.URL(), 250*time.Millisecond, slidingwindow.PerHour(quota))
	s.hang()
	load := startTraffic([]*slidingwindow.Limiter{limiter}, callers)
	time.Sleep(shortOrLong(0, 5*time.Second))
	told := await(func() bool { return everybody(failed)(load, time.Time{}) }, func() { time.Sleep(poll) })
	ended := load.endAll()
	if !told || !ended {
		s.resume()
	}
	load.stop()
	require.True(t, told && ended, "no call waits for Redis")
	asked := 0
	load.each(func(*record) { asked++ })
	s.resume()
	s.do("PING")
	time.Sleep(200 * time.Millisecond) // its other connections may be served after ours
	late := s.logged()
	t.Logf("%d calls asked, %d of them counted late", asked, late)
	assert.LessOrEqual(t, late, asked)
}

// logged is how many hits all logs hold.
func (s *server) logged() int {
	s.t.Helper()
	reply := s.admin.Do(s.t.Context(), s.admin.B().Arbitrary("EVAL",
		"local n = 0; for _, k in ipairs(redis.call('KEYS', '*')) do n = n + redis.call('ZCOUNT', k, '0', '+inf') end; return n", "0").Build())
	n, err := reply.AsInt64()
	require.NoError(s.t, err)
	return int(n)
}

// The bound holds with any client: no setting of rueidis must be known for it.
func TestTimeBoundWithAClientOfOnesOwn(t *testing.T) {
	for name, set := range map[string]func(*rueidis.ClientOption){
		"default":         func(*rueidis.ClientOption) {},
		"pipelining":      func(o *rueidis.ClientOption) { o.AlwaysPipelining = true },
		"no client cache": func(o *rueidis.ClientOption) { o.DisableCache = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			option := rueidis.ClientOption{InitAddress: []string{s.Addr()}}
			set(&option)
			c, err := rueidis.NewClient(option)
			require.NoError(t, err)
			t.Cleanup(c.Close)
			limiter := limiterOf(t, c, 250*time.Millisecond, slidingwindow.PerHour(1_000_000))
			require.Eventually(t, func() bool { _, err := limiter.Allow(context.Background(), "k"); return err == nil }, patience, poll)
			s.hang()
			load := startTraffic([]*slidingwindow.Limiter{limiter}, 200)
			time.Sleep(shortOrLong(0, time.Second))
			told := await(func() bool { return everybody(failed)(load, time.Time{}) }, func() { time.Sleep(poll) })
			ended := load.endAll()
			s.resume()
			load.stop()
			assert.True(t, told && ended, "no call waits for Redis")
			worst := time.Duration(0)
			load.each(func(r *record) { worst = max(worst, r.took()) })
			t.Logf("the longest call took %v", worst)
			if *long {
				assert.Less(t, worst, 250*time.Millisecond+longSlack)
			}
		})
	}
}

//go:build unix

package faults_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
)

// These faults are of a part of the calls. A guard must keep them apart from the others.

// guarded is a store behind a guard, and what the guard logs.
type guarded struct {
	*guard.Store
	redis *slidingwindow.RedisStore
	mu    sync.Mutex
	log   bytes.Buffer
}

func newGuarded(t *testing.T, url string) *guarded {
	t.Helper()
	g := &guarded{}
	c := client(t, patient(url))
	var err error
	g.redis, err = slidingwindow.NewRedisStore(c, slidingwindow.RedisConfig{Timeout: shortOrLong(patience, 250*time.Millisecond)})
	require.NoError(t, err)
	t.Cleanup(g.redis.Close)
	g.Store, err = guard.New(g.redis, guard.Config{Logger: slog.New(slog.NewTextHandler(g, nil))})
	require.NoError(t, err)
	return g
}

// Write implements [io.Writer], for the logger.
func (g *guarded) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.log.Write(p)
}

// told is how many outages began and ended.
func (g *guarded) told() (begun, ended int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	text := g.log.String()
	return strings.Count(text, "the store is unavailable\""), strings.Count(text, "the store is available again")
}

func (g *guarded) limiter(t *testing.T, limit slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	l, err := slidingwindow.New(g.Store, limit)
	require.NoError(t, err)
	return l
}

// tally counts calls for a row of the table.
type tally struct {
	mu  sync.Mutex
	row row
}

func (c *tally) count(began time.Time, d slidingwindow.Decision, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.row.Errors == nil {
		c.row.Errors = map[string]int{}
	}
	c.row.Worst = max(c.row.Worst, time.Since(began))
	c.row.Requests++
	if d.Granted > 0 {
		c.row.Admitted++
	}
	if err != nil {
		name, _ := typeOf(err)
		c.row.Errors[name]++
	}
}

// add notes the row, of a fault that has no end or whose end was waited for.
func (c *tally) add(t *testing.T, fault string, after time.Duration) {
	t.Helper()
	c.row.Fault, c.row.Recovered, c.row.FirstSuccess, c.row.AllSucceed = fault, true, after, after
	t.Log(c.row)
	table.add(c.row)
}

// every calls f until told to stop.
func every(interval time.Duration, f func()) (stop func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			f()
			select {
			case <-ended:
				return
			case <-time.After(interval):
			}
		}
	})
	return func() {
		close(ended)
		running.Wait()
	}
}

// Redis answers each peek with NOPERM, and decides all else.
func TestOneCommandIsDenied(t *testing.T) {
	s := startServer(t)
	s.do(strings.Fields("acl setuser limiter reset on >s3cret ~rl:* +@all -evalsha_ro")...)
	g := newGuarded(t, "redis://limiter:s3cret@"+s.Addr()+"?client_cache=0")
	l := g.limiter(t, slidingwindow.PerHour(1_000_000))
	var calls, peeks tally
	stop := every(20*time.Millisecond, func() {
		began := time.Now()
		d, err := l.Peek(t.Context(), "peeked")
		peeks.count(began, d, err)
	})
	for range shortOrLong(8, 30) {
		time.Sleep(shortOrLong(100*time.Millisecond, 700*time.Millisecond))
		began := time.Now()
		d, err := l.Allow(t.Context(), "k")
		calls.count(began, d, err)
	}
	stop()
	assert.Equal(t, calls.row.Requests, calls.row.Admitted, "permitted calls are decided")
	assert.Equal(t, map[string]int{"unavailable: NOPERM": peeks.row.Requests}, peeks.row.Errors)
	begun, _ := g.told()
	assert.Zero(t, begun, g.log.String())
	calls.add(t, "guarded: EVALSHA_RO denied, peeks every 20 ms", 0)
}

// Half of the calls are for keys at their limit, which Redis refuses also while it takes no writes.
func TestWritesAreRefused(t *testing.T) {
	for name, fault := range map[string]struct{ begin, end []string }{
		"READONLY":   {[]string{"REPLICAOF", "127.0.0.1", "1"}, []string{"REPLICAOF", "NO", "ONE"}},
		"OOM":        {[]string{"CONFIG", "SET", "maxmemory", "1"}, []string{"CONFIG", "SET", "maxmemory", "0"}},
		"NOREPLICAS": {[]string{"CONFIG", "SET", "min-replicas-to-write", "1"}, []string{"CONFIG", "SET", "min-replicas-to-write", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			g := newGuarded(t, s.URL()+"?client_cache=0") // no refusal without a command
			once, many := g.limiter(t, slidingwindow.PerHour(1)), g.limiter(t, slidingwindow.PerHour(1_000_000))
			for i := range 100 {
				_, err := once.Allow(t.Context(), strconv.Itoa(i))
				require.NoError(t, err)
			}
			s.do(fault.begin...)
			var calls tally
			var stops []func()
			for caller := range 4 {
				n := caller
				stops = append(stops, every(5*time.Millisecond, func() {
					n++
					began := time.Now()
					d, err := once.Allow(t.Context(), strconv.Itoa(n%100))
					calls.count(began, d, err)
					began = time.Now()
					d, err = many.Allow(t.Context(), "k")
					calls.count(began, d, err)
					_, _ = many.Peek(t.Context(), "k")
				}))
			}
			require.Eventually(t, func() bool { begun, _ := g.told(); return begun > 0 }, patience, poll)
			time.Sleep(shortOrLong(time.Second, 6*time.Second)) // for what follows the beginning
			begun, ended := g.told()
			calls.mu.Lock()
			assert.Zero(t, calls.row.Admitted)
			calls.mu.Unlock()
			assert.Equal(t, []int{1, 0}, []int{begun, ended}, "it begins once, and lasts")
			s.do(fault.end...)
			lifted := time.Now()
			require.Eventually(t, g.Available, patience, time.Millisecond)
			after := time.Since(lifted)
			if *long {
				assert.Less(t, after, longRecovery)
			}
			for _, stop := range stops {
				stop()
			}
			_, err := many.Allow(t.Context(), "k")
			require.NoError(t, err)
			begun, ended = g.told()
			assert.Equal(t, []int{1, 1}, []int{begun, ended}, "it begins and ends once: %s", g.log.String())
			calls.add(t, "guarded: "+name+", half of the calls at their limit", after)
		})
	}
}

// Calls that the living nodes should decide come so seldom that none may be lost.
func TestOneNodeOfAClusterIsDead(t *testing.T) {
	c, err := redisserver.StartCluster(t.Context(), 3, "--cluster-require-full-coverage", "no")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	g := newGuarded(t, "redis://"+c.Addrs()[0]+"?addr="+c.Addrs()[1]+"&addr="+c.Addrs()[2])
	l := g.limiter(t, slidingwindow.PerHour(1_000_000))
	dead := c.Nodes[0]
	require.Eventually(t, func() bool { return g.redis.Part("k") != "" }, patience, time.Millisecond)
	var lost, living []string
	for i := range 100 {
		if key := fmt.Sprint("key", i); g.redis.Part(key) == dead.Addr() {
			lost = append(lost, key)
		} else {
			living = append(living, key)
		}
	}
	require.NoError(t, dead.Kill())
	n := 0
	var calls, others tally
	stop := every(20*time.Millisecond, func() {
		n++
		began := time.Now()
		d, err := l.Allow(t.Context(), lost[n%len(lost)])
		others.count(began, d, err)
	})
	// Over the beginning of the outage of the dead node, and a while longer.
	begun, after := 0, shortOrLong(3, 7)
	for i := 0; begun == 0 || after > 0; i++ {
		time.Sleep(shortOrLong(200*time.Millisecond, 700*time.Millisecond))
		began := time.Now()
		d, err := l.Allow(t.Context(), living[i%len(living)])
		calls.count(began, d, err)
		require.Less(t, i, 300, "no outage begins")
		if begun, _ = g.told(); begun > 0 {
			after--
		}
	}
	stop()
	assert.Equal(t, calls.row.Requests, calls.row.Admitted, "%v", calls.row.Errors)
	assert.Zero(t, others.row.Admitted)
	begun, ended := g.told()
	assert.Equal(t, []int{1, 0}, []int{begun, ended}, g.log.String())
	calls.add(t, "guarded: one of 3 Cluster nodes dead, calls for the others", 0)
}

package slidingwindow_test

import (
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

var long = flag.Bool("long", false, "TestSizing: measure logs of a million entries and a million keys, too")

// TestSizing makes the tables of docs/sizing.md:
//
//	go test -run TestSizing -v -long -timeout 30m ./slidingwindow
func TestSizing(t *testing.T) {
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	s := sizing{t: t, client: redistest.Connect(t, server.URL())}
	t.Run("logs", func(t *testing.T) {
		const day = 24 * time.Hour
		rows := []string{"", "| Max | Window | Resolution | entries | bytes a key | `LogBytes` | commands |", "|---:|---|---|---:|---:|---:|---:|"}
		for _, limit := range []slidingwindow.Limit{
			{Max: 10, Window: time.Minute},
			{Max: 100, Window: 15 * time.Minute},
			{Max: 1000, Window: time.Hour},
			{Max: 10_000, Window: day},
			{Max: 100_000, Window: day},
			{Max: 1_000_000, Window: day},
			{Max: 1000, Window: time.Hour, Resolution: time.Minute},
			{Max: 1_000_000, Window: day, Resolution: 15 * time.Minute},
			{Max: 10_000_000, Window: day, Resolution: 15 * time.Minute},
			{Max: 10_000_000, Window: day, Resolution: time.Minute},
		} {
			if limit.Resolution > 0 || limit.Max <= 10_000 || *long {
				rows = append(rows, s.log(limit))
			}
		}
		t.Log(strings.Join(rows, "\n"))
	})
	t.Run("keys", func(t *testing.T) {
		keys := 2000
		if *long {
			keys = 1_000_000
		}
		rows := []string{"", "| limit | keys | calls | bytes a key | Redis memory | Redis CPU, us a decision | commands of clients a decision |", "|---|---:|---:|---:|---:|---:|---:|"}
		for _, limit := range []slidingwindow.Limit{
			{Name: "exact", Max: 100, Window: time.Hour},
			{Name: "resolution", Max: 10_000_000, Window: 24 * time.Hour, Resolution: 15 * time.Minute},
		} {
			rows = append(rows, s.keys(limit, keys, 5))
		}
		t.Log(strings.Join(rows, "\n"))
	})
}

type sizing struct {
	t      *testing.T
	client rueidis.Client
}

// log measures a full log, and decisions on logs like it.
func (s *sizing) log(limit slidingwindow.Limit) string {
	t := s.t
	h, prefix := redisHarness(t, s.client)
	l := newLimiter(t, h.Store, limit)
	limit = l.Limits()[0]
	s.fill(l, limit, h.Store.(*slidingwindow.RedisStore), h.Advance)
	entries, bytes := logSize(t, s.client, prefix, limit)
	assert.LessOrEqual(t, bytes-int64(len(prefix)), limit.LogBytes()+64, "its name is on top")

	const calls = 1000
	copies := int(min(calls, 200_000/entries+1))
	key := func(i int) string { return "k" + strconv.Itoa(i%copies) }
	for i := range copies {
		require.NoError(t, do(t, s.client, "COPY", slidingwindow.RedisKey(prefix, "k", limit.Name), slidingwindow.RedisKey(prefix, key(i), limit.Name)).Error())
	}
	limit.Max += calls
	l = newLimiter(t, h.Store, limit)
	measure := func(call func(i int)) (commands int64) {
		commands = s.commands()
		for i := range calls {
			h.Advance(time.Microsecond) // a command of its own
			call(i)
		}
		return s.commands() - commands
	}
	clock := measure(func(int) {})
	commands := measure(func(i int) { require.True(t, allow(t, l, key(i))) }) - clock
	limit.Max -= calls
	require.NoError(t, do(t, s.client, "FLUSHALL").Error())
	resolution := "-"
	if limit.Resolution > 0 {
		resolution = limit.Resolution.String()
	}
	return fmt.Sprintf("| %d | %v | %s | %d | %d | %d | %.1f |", limit.Max, limit.Window, resolution, entries, bytes, limit.LogBytes(), float64(commands)/calls-1)
}

// fill uses all of a limit, the same in each Resolution, if there is one.
func (s *sizing) fill(l *slidingwindow.Limiter, limit slidingwindow.Limit, store *slidingwindow.RedisStore, advance func(time.Duration)) {
	if limit.Resolution > 0 {
		parts := int64(limit.Window / limit.Resolution)
		for i := range parts {
			d, err := l.AllowN(s.t.Context(), "k", limit.Max*(i+1)/parts-limit.Max*i/parts)
			require.NoError(s.t, err)
			require.True(s.t, d.Allowed)
			if i < parts-1 {
				advance(limit.Resolution)
			}
		}
		return
	}
	for left := limit.Max; left > 0; {
		requests := make([]slidingwindow.Request, min(left, 1000))
		for i := range requests {
			requests[i] = slidingwindow.Request{Key: "k", Limits: l.Limits(), Cost: 1}
		}
		_, errs := store.DecideTogether(s.t.Context(), requests...)
		require.NoError(s.t, errs[0])
		advance(time.Millisecond)
		left -= int64(len(requests))
	}
}

// keys measures so many keys, each of which made so many calls, 512 at a time.
func (s *sizing) keys(limit slidingwindow.Limit, keys, calls int) string {
	t := s.t
	l, prefix := newRedisLimiter(t, s.client, limit)
	memory, before, cpu := s.info("memory", "used_memory:"), s.info("commandstats", "cmdstat_evalsha:calls="), s.cpu()
	var all sync.WaitGroup
	next := make(chan int, 4096)
	for range 512 {
		all.Go(func() {
			for i := range next {
				d, err := l.Allow(t.Context(), strconv.Itoa(i%keys))
				if !assert.NoError(t, err) || !assert.True(t, d.Allowed) {
					return
				}
			}
		})
	}
	for i := range keys * calls {
		next <- i
	}
	close(next)
	all.Wait()
	decisions := float64(keys * calls)
	cpu = s.cpu() - cpu
	commands := s.info("commandstats", "cmdstat_evalsha:calls=") - before
	memory = s.info("memory", "used_memory:") - memory
	bytes, err := do(t, s.client, "MEMORY", "USAGE", slidingwindow.RedisKey(prefix, "0", limit.Name)).AsInt64()
	require.NoError(t, err)
	require.NoError(t, do(t, s.client, "FLUSHALL").Error())
	return fmt.Sprintf("| %s | %d | %.0f | %d | %d MB | %.1f | %.4f |", limit.Name, keys, decisions, bytes, memory>>20, float64(cpu.Microseconds())/decisions, float64(commands)/decisions)
}

// commands counts those that Redis has run, in scripts too.
func (s *sizing) commands() (n int64) {
	text, err := do(s.t, s.client, "INFO", "commandstats").ToString()
	require.NoError(s.t, err)
	for line := range strings.Lines(text) {
		if _, rest, ok := strings.Cut(line, "calls="); ok && !strings.HasPrefix(line, "cmdstat_info") {
			calls, err := strconv.ParseInt(rest[:strings.IndexByte(rest, ',')], 10, 64)
			require.NoError(s.t, err)
			n += calls
		}
	}
	return n
}

// cpu is how long Redis has used a CPU.
func (s *sizing) cpu() time.Duration {
	return time.Duration(s.info("cpu", "used_cpu_sys:")+s.info("cpu", "used_cpu_user:")) * time.Microsecond
}

// info is a number of INFO; of seconds, microseconds.
func (s *sizing) info(section, field string) int64 {
	text, err := do(s.t, s.client, "INFO", section).ToString()
	require.NoError(s.t, err)
	_, rest, ok := strings.Cut(text, field)
	if !ok {
		return 0
	}
	digits := rest[:strings.IndexAny(rest, ",\r")]
	whole, fraction, isSeconds := strings.Cut(digits, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	require.NoError(s.t, err)
	if isSeconds {
		us, err := strconv.ParseInt((fraction + "000000")[:6], 10, 64)
		require.NoError(s.t, err)
		n = n*1_000_000 + us
	}
	return n
}

package slidingwindow_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// What floods of made-up keys meet. The bounds are those of SECURITY.md; what was measured
// is in the log of the test. Tests that measure the heap are not parallel.

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the first one empties no sync.Pool
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // no heap has 2^63 bytes
}

func TestFloodOfKeysInRedisGoesByItself(t *testing.T) {
	t.Parallel()
	const keys = 20_000
	client := privateServer(t)
	l := newLimiter(t, redisStore(t, client, "rl"), slidingwindow.Limit{Name: "api", Max: 100, Window: 2 * time.Minute})
	memory := func() int64 {
		t.Helper()
		info, err := do(t, client, "INFO", "memory").ToString()
		require.NoError(t, err)
		_, rest, _ := strings.Cut(info, "used_memory:")
		text, _, _ := strings.Cut(rest, "\r\n")
		n, err := strconv.ParseInt(text, 10, 64)
		require.NoError(t, err)
		return n
	}
	size := func() int64 {
		n, err := do(t, client, "DBSIZE").AsInt64()
		require.NoError(t, err)
		return n
	}
	before := memory()
	flood(t, l, keys)
	require.EqualValues(t, keys, size())
	each := (memory() - before) / keys
	t.Logf("a made-up key takes %d bytes of Redis", each)
	assert.LessOrEqual(t, each, int64(400), "bytes for each key")

	names, err := do(t, client, "KEYS", "rl:*").AsStrSlice()
	require.NoError(t, err)
	require.Len(t, names, keys)
	commands := make(rueidis.Commands, len(names))
	for i, name := range names {
		commands[i] = client.B().Pttl().Key(name).Build()
	}
	for _, result := range client.DoMulti(t.Context(), commands...) {
		left, err := result.AsInt64()
		require.NoError(t, err)
		require.Positive(t, left, "each key has a time to live")
		require.LessOrEqual(t, left, (4 * time.Minute).Milliseconds(), "of two windows")
	}

	require.NoError(t, do(t, client, "FLUSHALL").Error())
	short := newLimiter(t, redisStore(t, client, "rl"), slidingwindow.Limit{Name: "api", Max: 100, Window: 100 * time.Millisecond})
	flood(t, short, keys)
	require.Eventually(t, func() bool { return size() == 0 }, time.Minute, 50*time.Millisecond, "with nobody asking for the keys again")
}

// flood uses up that many keys once each.
func flood(t *testing.T, l *slidingwindow.Limiter, keys int) {
	t.Helper()
	const callers = 64
	errs := make(chan error, callers)
	for caller := range callers {
		go func() {
			for i := caller; i < keys; i += callers {
				if _, err := l.Allow(t.Context(), fmt.Sprintf("203.0.%d.%d", i>>8, i&255)); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range callers {
		require.NoError(t, <-errs)
	}
}

func TestFloodOfRefusedKeysKeepsTheHeapBounded(t *testing.T) {
	client := redistest.Client(t)
	store := redisStore(t, client, redistest.Prefix(t, client))
	limit := slidingwindow.PerHour(1)
	before := heap()
	remember := func(keys int) int64 {
		for i := range keys {
			store.Remember(slidingwindow.Request{Key: fmt.Sprintf("2001:db8:%d::/56", i), Limits: []slidingwindow.Limit{limit}, Cost: 1},
				slidingwindow.NewDecision(0, slidingwindow.Status{Limit: limit, RetryAfter: time.Hour, ReplenishAfter: time.Hour}))
		}
		return (heap() - before) / int64(store.Refusals())
	}
	full := remember(120_000)
	t.Logf("%d remembered refusals take %d bytes each", store.Refusals(), full)
	assert.LessOrEqual(t, store.Refusals(), 100_000)
	assert.LessOrEqual(t, full, int64(2000), "bytes for each")
	runtime.KeepAlive(store)
}

// A refusal must cost less than what it refuses, or the limiter helps who attacks.
func TestARefusedCallCostsRedisLess(t *testing.T) {
	t.Parallel()
	const n = 200
	for name, disableCache := range map[string]bool{"client cache": false, "no client cache": true} {
		server := privateServer(t)
		client := redistest.Connect(t, "redis://"+address(server), func(o *rueidis.ClientOption) { o.DisableCache = disableCache })
		l := newLimiter(t, redisStore(t, client, "rl"), slidingwindow.Limit{Name: "api", Max: n, Window: time.Hour})
		commands := func() (asked, ran int) {
			for name, count := range calls(t, server) {
				switch {
				case strings.HasPrefix(name, "eval"):
					asked += count
				case strings.HasPrefix(name, "z"), name == "time", strings.HasPrefix(name, "p"):
					ran += count
				}
			}
			return asked, ran
		}
		measure := func(want bool) (asked, ran int) {
			askedBefore, ranBefore := commands()
			for range n {
				require.Equal(t, want, allow(t, l, "k"))
			}
			asked, ran = commands()
			return asked - askedBefore, ran - ranBefore
		}
		asked, ran := measure(true)
		refusedAsked, refusedRan := measure(false)
		t.Logf("%s: %d allowed calls took %d commands, %d in the script; as many refused ones %d and %d", name, n, asked, ran, refusedAsked, refusedRan)
		assert.Less(t, refusedRan, ran, name)
		if disableCache {
			assert.LessOrEqual(t, refusedAsked, asked, name)
		} else {
			assert.Less(t, refusedAsked, 10, name)
		}
		assert.Equal(t, n, calls(t, server)["zadd"], "a refusal writes nothing")
	}
}

func TestARefusedCallAllocatesLess(t *testing.T) {
	client := redistest.Client(t)
	l, _ := newRedisLimiter(t, client, slidingwindow.Limit{Name: "api", Max: 300, Window: time.Hour})
	ctx := t.Context()
	ask := func() { _, _ = l.Allow(ctx, "k") }
	allowed := testing.AllocsPerRun(200, ask)
	for allow(t, l, "k") {
	}
	refused := testing.AllocsPerRun(200, ask)
	t.Logf("allocations of an allowed call: %v, of a refused one: %v", allowed, refused)
	assert.Less(t, refused, allowed)
}

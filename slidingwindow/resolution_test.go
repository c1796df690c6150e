package slidingwindow_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// logSize is how many entries the log of a key has, its header not counted, and its bytes.
func logSize(t *testing.T, client rueidis.Client, prefix string, limit slidingwindow.Limit) (entries, bytes int64) {
	t.Helper()
	key := slidingwindow.RedisKey(prefix, "k", limit.Name)
	entries, err := do(t, client, "ZCARD", key).AsInt64()
	require.NoError(t, err)
	bytes, err = do(t, client, "MEMORY", "USAGE", key, "SAMPLES", "0").AsInt64()
	require.NoError(t, err)
	return entries - 1, bytes
}

// A tenant of ten million calls a day: the log stays small, however much is used.
func TestPromise5_ResolutionBoundsTheLog(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	h, prefix := redisHarness(t, client)
	limit := slidingwindow.Limit{Name: "calls", Max: 10_000_000, Window: 24 * time.Hour, Resolution: 15 * time.Minute}
	l := newLimiter(t, h.Store, limit)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	var most, bytes int64
	for range 3000 {
		_, err := l.AllowAtMost(t.Context(), "k", random.Int64N(20_000)+1)
		require.NoError(t, err)
		h.Advance(time.Duration(random.Int64N(int64(3*time.Minute))) / 1000 * 1000)
		entries, b := logSize(t, client, prefix, limit)
		most, bytes = max(most, entries), max(bytes, b)
	}
	assert.EqualValues(t, 97, most, "Window / Resolution + 1")
	assert.Less(t, bytes, int64(4096))
	assert.LessOrEqual(t, bytes, limit.LogBytes())
}

// A decision on a full log of millions runs the commands that one on a log of a thousand does.
func TestResolutionMakesTheCostIndependentOfMax(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL())
	var all [2][][]string
	for i, max := range []int64{1000, 10_000_000} {
		h, _ := redisHarness(t, client)
		l := newLimiter(t, h.Store, slidingwindow.Limit{Name: "calls", Max: max, Window: time.Hour, Resolution: time.Minute})
		_, err := l.AllowN(t.Context(), "k", max-1)
		require.NoError(t, err)
		_, all[i] = monitored(t, server.URL(), server.Addr(), func() {
			for _, want := range []bool{true, false} {
				d, err := l.Allow(t.Context(), "k")
				require.NoError(t, err)
				require.Equal(t, want, d.Allowed)
			}
		})
	}
	assert.Equal(t, names(all[0]), names(all[1]))
	assert.Less(t, len(all[0]), 16, "%v", names(all[0]))
}

// Unlike the rest, what LogBytes says is measured: of entries of one unit and of many.
func TestLogBytes(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	for _, limit := range []slidingwindow.Limit{
		{Name: "one", Max: 1, Window: time.Hour},
		{Name: "listpack", Max: 100, Window: time.Hour},
		{Name: "skiplist", Max: 200, Window: time.Hour},
		{Name: "large", Max: 33_000, Window: time.Hour}, // a table of twice as many buckets
		{Name: "shared", Max: 1e15 - 1, Window: time.Hour, Resolution: time.Second},
	} {
		h, prefix := redisHarness(t, client)
		l := newLimiter(t, h.Store, limit)
		cost, calls, step := int64(1), int(limit.Max), time.Duration(0)
		if limit.Resolution > 0 {
			calls, step = int(limit.Window/limit.Resolution), limit.Resolution
			cost = limit.Max / int64(calls+1)
		}
		for left := calls; left > 0; {
			requests := make([]slidingwindow.Request, min(left, 5000))
			if step > 0 {
				requests = requests[:1]
			}
			for i := range requests {
				requests[i] = slidingwindow.Request{Key: "k", Limits: l.Limits(), Cost: cost}
			}
			decisions, errs := h.Store.(*slidingwindow.RedisStore).DecideTogether(t.Context(), requests...)
			for i := range errs {
				require.NoError(t, errs[i])
				require.True(t, decisions[i].Allowed)
			}
			h.Advance(step)
			left -= len(requests)
		}
		entries, bytes := logSize(t, client, prefix, limit)
		assert.EqualValues(t, calls, entries)
		name := len(slidingwindow.RedisKey(prefix, "k", limit.Name))
		assert.LessOrEqual(t, bytes-int64(name), limit.LogBytes(), limit.Name)
		t.Logf("%s: %d entries, %d bytes, at most %d", limit.Name, entries, bytes, limit.LogBytes())
	}
	assert.EqualValues(t, 512, slidingwindow.Limit{Max: 0, Window: time.Hour}.LogBytes())
	assert.Positive(t, slidingwindow.Limit{Max: 1e15 - 1, Window: time.Hour}.LogBytes())
}

// Calls of one batch are decided at once, and each has a receipt for its units all the same.
func TestABatchSharesAnEntry(t *testing.T) {
	t.Parallel()
	h, _ := redisHarness(t, redistest.Client(t))
	shared := slidingwindow.Limit{Name: "shared", Max: 20, Window: time.Minute, Resolution: 10 * time.Second}
	exact := slidingwindow.Limit{Name: "exact", Max: 30, Window: time.Minute}
	h.Advance(8_765_433 * time.Microsecond) // the end of a Resolution: a microsecond ahead is another one
	l := newLimiter(t, h.Store, shared, exact)
	left := func() (left [2]int64) {
		d, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
		return [2]int64{d.Statuses()[0].Remaining, d.Statuses()[1].Remaining}
	}
	want := [2]int64{20, 30}
	for _, ahead := range []time.Duration{0, time.Microsecond, 10 * time.Second} {
		requests := make([]slidingwindow.Request, 7)
		for i := range requests {
			requests[i] = slidingwindow.Request{Key: "k", Limits: l.Limits(), Cost: 3, Ahead: ahead}
		}
		decisions, errs := h.Store.(*slidingwindow.RedisStore).DecideTogether(t.Context(), requests...)
		require.Equal(t, make([]error, 7), errs)
		require.Equal(t, [2]int64{2, 12}, left(), "six of seven fit")
		for i, d := range decisions {
			require.NoError(t, h.Store.Settle(t.Context(), "k", d, nil))
			granted := int64(min(i+1, 6)) * 3
			require.Equal(t, [2]int64{2 + granted, 12 + granted}, left(), "call %d, %v ahead", i, ahead)
		}
		require.Equal(t, want, left())
	}
}

package guard_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// A Decision that comes as a text is settled by the store that took it, not by the one that is
// asked now.
func TestSettleGoesToTheStoreThatTookTheUnits(t *testing.T) {
	t.Parallel()
	limit := slidingwindow.Limit{Name: "api", Max: 9, Window: time.Hour}
	server, redis := ownRedis(t, patience)
	full := func(bytes string) {
		t.Helper()
		_, err := server.Do(t.Context(), "CONFIG", "SET", "maxmemory", bytes)
		require.NoError(t, err)
	}
	inMemory := newMemoryStore(t, memory.Config{})
	g := newGuard(t, redis, guard.Config{OnFailure: guard.Fallback, Fallback: inMemory})
	l := newLimiter(t, g, limit)
	take := func() slidingwindow.Decision {
		t.Helper()
		d, err := l.AllowN(t.Context(), "k", 3)
		require.NoError(t, err)
		require.EqualValues(t, 3, d.Granted)
		return naive.ThroughText(t, d)
	}
	byRedis := take()
	require.Equal(t, "redis:rl", byRedis.Store)
	full("1") // takes no writes
	awaitOutage(t, g, l)
	require.NoError(t, inMemory.Reset(t.Context(), "k", l.Limits()), "what the wait for the outage took")
	byFallback := take()
	require.Equal(t, slidingwindow.ReasonFallback, byFallback.Reason)
	kept := take()

	left := func(store slidingwindow.Store) int64 {
		t.Helper()
		d, err := newLimiter(t, store, limit).Peek(t.Context(), "k")
		require.NoError(t, err)
		return d.Remaining
	}
	cost := slidingwindow.Cost{"api": 1}
	require.NoError(t, l.Settle(t.Context(), "k", byFallback, cost))
	assert.EqualValues(t, 5, left(inMemory))
	require.ErrorIs(t, l.Settle(t.Context(), "k", byRedis, cost), slidingwindow.ErrStoreUnavailable)
	assert.EqualValues(t, 5, left(inMemory), "the fallback settles nothing of the store's")

	full("0")
	require.Eventually(t, func() bool {
		_, err := l.Peek(t.Context(), "k")
		return err == nil && g.Available()
	}, 60*time.Second, time.Millisecond)
	require.EqualValues(t, 6, left(redis))
	require.NoError(t, l.Settle(t.Context(), "k", byRedis, cost))
	assert.EqualValues(t, 8, left(redis))
	require.NoError(t, l.Refund(t.Context(), "k", kept), "also when the outage is over")
	assert.EqualValues(t, 8, left(inMemory))
	assert.EqualValues(t, 8, left(redis))
}

// The fallbacks of two processes are two stores.
func TestSettleOfAnotherProcessesFallbackIsATypedError(t *testing.T) {
	t.Parallel()
	limit := slidingwindow.PerHour(9)
	gone := noRedis(t)
	there := newLimiter(t, newGuard(t, gone, guard.Config{OnFailure: guard.Fallback, Fallback: newMemoryStore(t, memory.Config{})}), limit)
	taken, err := there.AllowN(t.Context(), "k", 3)
	require.NoError(t, err)
	require.Equal(t, slidingwindow.ReasonFallback, taken.Reason)
	d := naive.ThroughText(t, taken)

	client := redistest.Client(t)
	redis, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: redistest.Prefix(t, client), Timeout: patience})
	require.NoError(t, err)
	inMemory := newMemoryStore(t, memory.Config{})
	for name, config := range map[string]guard.Config{
		"fallback":    {OnFailure: guard.Fallback, Fallback: inMemory},
		"no fallback": {},
		"fail open":   {OnFailure: guard.Open},
	} {
		here := newLimiter(t, newGuard(t, redis, config), limit)
		require.ErrorIs(t, here.Refund(t.Context(), "k", d), slidingwindow.ErrForeignDecision, name)
		err := here.Settle(t.Context(), "k", d, slidingwindow.Cost{limit.Name: 1})
		require.ErrorIs(t, err, slidingwindow.ErrForeignDecision, name)
		require.ErrorContains(t, err, "; allowed: ", name)
	}
	require.ErrorIs(t, newLimiter(t, redis, limit).Refund(t.Context(), "k", d), slidingwindow.ErrForeignDecision)
	peeked, err := there.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 6, peeked.Remaining, "nothing was given back")
}

// A client that hangs up ends the context of its request.
func TestSettleOutlivesItsContext(t *testing.T) {
	t.Parallel()
	_, redis := ownRedis(t, patience)
	limit := slidingwindow.PerHour(9)
	for _, store := range []slidingwindow.Store{redis, newMemoryStore(t, memory.Config{})} {
		l := newLimiter(t, newGuard(t, store, guard.Config{}), limit)
		d, err := l.AllowN(t.Context(), "k", 5)
		require.NoError(t, err)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, l.Settle(ended, "k", naive.ThroughText(t, d), slidingwindow.Cost{limit.Name: 2}))
		peeked, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
		assert.EqualValues(t, 7, peeked.Remaining)
	}
}

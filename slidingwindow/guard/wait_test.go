package guard_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// Who waits in an outage waits for nothing but its turn in the fallback.
func TestWaitFollowsThePolicy(t *testing.T) {
	t.Parallel()
	gone := noRedis(t)
	hour := slidingwindow.PerHour(2)

	closed := newLimiter(t, newGuard(t, gone, guard.Config{}), hour)
	for range 3 {
		assert.ErrorIs(t, closed.Wait(t.Context(), "k"), slidingwindow.ErrStoreUnavailable)
	}

	open := newLimiter(t, newGuard(t, gone, guard.Config{OnFailure: guard.Open}), hour)
	for range 5 {
		assert.NoError(t, open.Wait(t.Context(), "k"))
	}
	d, err := open.Reserve(t.Context(), "k", 1, time.Minute)
	require.NoError(t, err)
	assert.Equal(t, slidingwindow.ReasonFailOpen, d.Reason)
	assert.Zero(t, d.Delay)

	fallback := newMemoryStore(t, memory.Config{Clock: newClock().Now})
	l := newLimiter(t, newGuard(t, gone, guard.Config{OnFailure: guard.Fallback, Fallback: fallback, Instances: 2}), hour)
	require.NoError(t, l.Wait(t.Context(), "k"), "the one of this instance")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	assert.ErrorIs(t, l.Wait(ctx, "k"), slidingwindow.ErrWaitTooLong)
	assert.ErrorIs(t, l.WaitN(t.Context(), "k", 2), slidingwindow.ErrCostExceedsLimit, "more than its share never fits")

	first, err := l.Reserve(t.Context(), "k", 1, 10*time.Hour)
	require.NoError(t, err)
	assert.Equal(t, slidingwindow.ReasonFallback, first.Reason)
	assert.Equal(t, time.Hour, first.Delay)
	require.NoError(t, l.Refund(t.Context(), "k", first))
	again, err := l.Reserve(t.Context(), "k", 1, 10*time.Hour)
	require.NoError(t, err)
	assert.Equal(t, time.Hour, again.Delay, "the fallback got the place back")
}

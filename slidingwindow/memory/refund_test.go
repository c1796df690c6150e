package memory_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func TestRefundMakesRoomInMemory(t *testing.T) {
	t.Parallel()
	store := newMemoryStore(t, memory.Config{})
	l := newLimiter(t, store, slidingwindow.PerMinute(10), slidingwindow.PerHour(10))
	for i := range 100 {
		key := strconv.Itoa(i)
		d, err := l.Allow(t.Context(), key)
		require.NoError(t, err)
		require.NoError(t, l.Refund(t.Context(), key, d))
	}
	assert.Zero(t, store.Keys())
	assert.Zero(t, store.Entries())
}

func TestRefundedKeyIsNoLongerProtectedFromBeingForgotten(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := newMemoryStore(t, memory.Config{MaxKeys: 2, Clock: clock.Now})
	l := newLimiter(t, store, slidingwindow.PerHour(2))
	old, err := l.Allow(t.Context(), "old")
	require.NoError(t, err)
	require.True(t, allow(t, l, "old"))
	require.False(t, allow(t, l, "old"))
	require.NoError(t, l.Refund(t.Context(), "old", old))
	clock.Advance(time.Second)
	require.True(t, allow(t, l, "busy"))
	require.True(t, allow(t, l, "busy"))
	require.True(t, allow(t, l, "new"), "which makes the store forget another")
	assert.False(t, allow(t, l, "busy"), "not the one used last")
}

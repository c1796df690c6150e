package slidingwindow_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

// clock is set by the test and read by the store, from many goroutines.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: storetest.Epoch} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newMemoryStore(t testing.TB, config memory.Config) *memory.Store {
	t.Helper()
	store, err := memory.NewWithConfig(config)
	require.NoError(t, err)
	return store
}

func newLimiter(t testing.TB, store slidingwindow.Store, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	limiter, err := slidingwindow.New(store, limits...)
	require.NoError(t, err)
	return limiter
}

func allow(t testing.TB, l *slidingwindow.Limiter, key string) bool {
	t.Helper()
	d, err := l.Allow(t.Context(), key)
	require.NoError(t, err)
	return d.Allowed
}

package lease_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/lease"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

// clock is set by the test and read by the stores, from many goroutines.
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

// What a store promises it promises with leases, too.
func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		clock := newClock()
		inner, err := memory.NewWithConfig(memory.Config{Clock: clock.Now})
		require.NoError(t, err)
		store, err := lease.NewOnClock(inner, lease.Config{For: time.Millisecond}, clock.Now)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		return storetest.Harness{Store: store, Advance: clock.Advance, Expires: true}
	})
}

package lease_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/lease"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// counted counts what a store is asked, and fails if it is told to.
type counted struct {
	slidingwindow.Store
	mu             sync.Mutex
	takes, settles int
	err            error
	before         func(slidingwindow.Request)
}

func (c *counted) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	c.mu.Lock()
	c.takes++
	err, before := c.err, c.before
	c.mu.Unlock()
	if err != nil {
		return slidingwindow.Decision{}, err
	}
	if before != nil {
		before(req)
	}
	return c.Store.Take(ctx, req)
}

func (c *counted) Settle(ctx context.Context, key string, d slidingwindow.Decision, units []int64) error {
	c.mu.Lock()
	c.settles++
	c.mu.Unlock()
	return c.Store.Settle(ctx, key, d, units)
}

func (c *counted) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *counted) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.takes + c.settles
}

// fixture is a store with leases over a memory store, on a clock that stands still.
type fixture struct {
	clock *clock
	inner *counted
	store *lease.Store
}

func newFixture(t testing.TB, config lease.Config) fixture {
	t.Helper()
	clock := newClock()
	inner, err := memory.NewWithConfig(memory.Config{Clock: clock.Now})
	require.NoError(t, err)
	f := fixture{clock: clock, inner: &counted{Store: inner}}
	f.store, err = lease.NewOnClock(f.inner, config, clock.Now)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.store.Close()) })
	return f
}

func newLimiter(t testing.TB, store slidingwindow.Store, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	l, err := slidingwindow.New(store, limits...)
	require.NoError(t, err)
	return l
}

func allow(t testing.TB, l *slidingwindow.Limiter, n int64) slidingwindow.Decision {
	t.Helper()
	d, err := l.AllowN(t.Context(), "k", n)
	require.NoError(t, err)
	return d
}

// warm makes the key busy, so that the next call is decided from a lease.
func (f fixture) warm(t testing.TB, l *slidingwindow.Limiter) {
	t.Helper()
	for range lease.BusyCalls {
		require.True(t, allow(t, l, 1).Allowed)
	}
	require.Equal(t, 1, f.store.Pools())
}

func (f fixture) remaining(t testing.TB, limits ...slidingwindow.Limit) int64 {
	t.Helper()
	d, err := newLimiter(t, f.inner.Store, limits...).Peek(t.Context(), "k")
	require.NoError(t, err)
	return d.Remaining
}

var minute = slidingwindow.Limit{Name: "m", Max: 1000, Window: time.Minute}

func TestAQuietKeyCostsWhatItCosts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, lease.Config{})
	l := newLimiter(t, f.store, minute)
	for i := range 100 {
		assert.False(t, lease.Decided(allow(t, l, 1)))
		assert.Equal(t, i+1, f.inner.asked(), "one call of the store for each")
		f.clock.Advance(10 * time.Millisecond)
	}
	for i := range 10_000 { // a crowd of quiet keys does not look busy
		d, err := l.Allow(t.Context(), fmt.Sprint("key ", i%5000))
		require.NoError(t, err)
		require.False(t, lease.Decided(d))
	}
	assert.Zero(t, f.store.Pools())
}

// TestTheLastMomentOfALease uses units at the very end of a lease, and none after it.
func TestTheLastMomentOfALease(t *testing.T) {
	t.Parallel()
	f := newFixture(t, lease.Config{For: 50 * time.Millisecond})
	l := newLimiter(t, f.store, minute)
	f.warm(t, l)
	require.True(t, lease.Decided(allow(t, l, 1)))
	f.store.Settled()
	left := f.store.Left("k")
	require.Greater(t, left, int64(4))

	f.inner.fail(slidingwindow.ErrStoreUnavailable) // so that no other lease takes its place
	f.clock.Advance(50 * time.Millisecond)
	require.True(t, lease.Decided(allow(t, l, 1)), "its last moment")
	f.store.Settled()
	f.clock.Advance(time.Microsecond)
	_, err := l.Allow(t.Context(), "k")
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable, "it has ended")
	f.inner.fail(nil)
	require.NoError(t, f.store.Close())

	// 16 calls for now, and 2 of the lease.
	assert.EqualValues(t, 1000-18, f.remaining(t, minute))
	f.clock.Advance(time.Minute - 50*time.Millisecond - time.Microsecond)
	assert.EqualValues(t, 1000-2, f.remaining(t, minute), "the calls for now have left")
	f.clock.Advance(50*time.Millisecond - time.Microsecond)
	assert.EqualValues(t, 1000-2, f.remaining(t, minute), "those of the lease count until a minute after its end")
	f.clock.Advance(time.Microsecond)
	assert.EqualValues(t, 1000, f.remaining(t, minute))
}

func TestALeaseGrowsAndShrinksWithUse(t *testing.T) {
	t.Parallel()
	f := newFixture(t, lease.Config{})
	l := newLimiter(t, f.store, slidingwindow.Limit{Name: "m", Max: 1_000_000, Window: time.Minute})
	most := func(perMillisecond int) (most int64, asked int) {
		before := f.inner.asked()
		for range 500 {
			for range perMillisecond {
				require.True(t, allow(t, l, 1).Allowed)
			}
			f.store.Sweep()
			most = max(most, f.store.Left("k"))
			f.clock.Advance(time.Millisecond)
		}
		return most, f.inner.asked() - before
	}
	busy, asked := most(100)
	assert.Less(t, asked, 50_000/100, "1% of the calls or less ask the store")
	assert.Greater(t, busy, int64(2000), "5,000 are used in 50ms")
	assert.Less(t, busy, int64(15_000))
	most(10)
	calmer, _ := most(10)
	assert.Less(t, calmer, busy/5)
	f.clock.Advance(time.Second)
	f.store.Sweep()
	f.store.Sweep()
	assert.Zero(t, f.store.Pools(), "a key that is quiet is forgotten")
	assert.Zero(t, f.store.Left("k"))
	assert.EqualValues(t, 1_000_000-60_000, f.remaining(t, slidingwindow.Limit{Name: "m", Max: 1_000_000, Window: time.Minute}), "and what was left given back")
}

func TestSettleAndRefund(t *testing.T) {
	t.Parallel()
	f := newFixture(t, lease.Config{})
	l := newLimiter(t, f.store, minute)
	f.warm(t, l)
	early, late, dear := allow(t, l, 2), allow(t, l, 3), allow(t, l, 1)
	for _, d := range []slidingwindow.Decision{early, late, dear} {
		require.True(t, lease.Decided(d))
	}
	f.store.Settled()
	left := f.store.Left("k")
	for range 3 {
		require.NoError(t, l.Refund(t.Context(), "k", early))
		assert.Equal(t, left+2, f.store.Left("k"), "it goes back to the lease, once")
	}
	f.clock.Advance(time.Second)
	f.store.Sweep()
	assert.EqualValues(t, 1000-16-4, f.remaining(t, minute))
	for range 3 {
		require.NoError(t, l.Settle(t.Context(), "k", late, slidingwindow.Cost{"m": 1}))
		assert.EqualValues(t, 1000-16-2, f.remaining(t, minute), "what the store counts of the lease, once")
	}
	for range 2 {
		require.NoError(t, l.Settle(t.Context(), "k", dear, slidingwindow.Cost{"m": 600}))
		assert.EqualValues(t, 1000-16-601, f.remaining(t, minute), "it may be more than the lease was")
	}
	require.NoError(t, l.Refund(t.Context(), "k", early))
	assert.EqualValues(t, 1000-16-601, f.remaining(t, minute))
}

func TestResetEndsTheLeasesOfItsProcess(t *testing.T) {
	t.Parallel()
	f := newFixture(t, lease.Config{})
	l := newLimiter(t, f.store, slidingwindow.Limit{Name: "m", Max: 30, Window: time.Minute})
	f.warm(t, l)
	allow(t, l, 1)
	f.store.Settled()
	require.NoError(t, l.Reset(t.Context(), "k"))
	f.store.Settled()
	granted := 0
	for range 100 {
		if allow(t, l, 1).Allowed {
			granted++
		}
	}
	assert.Equal(t, 30, granted, "a full Max, and no unit that was lent before")

	// A renewal that was under way brings units of before the reset: they are given back.
	f.clock.Advance(2 * time.Minute)
	f.store.Sweep()
	f.store.Sweep()
	f.warm(t, l)
	entered, leave := make(chan struct{}), make(chan struct{})
	f.inner.before = func(req slidingwindow.Request) {
		if req.Ahead > 0 {
			close(entered)
			<-leave
		}
	}
	done := make(chan slidingwindow.Decision, 1)
	go func() {
		d, err := l.Allow(t.Context(), "k")
		assert.NoError(t, err)
		done <- d
	}()
	<-entered
	f.inner.mu.Lock()
	f.inner.before = nil
	f.inner.mu.Unlock()
	require.NoError(t, l.Reset(t.Context(), "k"))
	close(leave)
	<-done
	f.store.Settled()
	assert.LessOrEqual(t, f.store.Left("k"), int64(30))
}

func TestCloseGivesBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t, lease.Config{})
	l := newLimiter(t, f.store, minute)
	f.warm(t, l)
	allow(t, l, 1)
	f.store.Settled()
	require.Less(t, f.remaining(t, minute), int64(1000-17))
	require.NoError(t, f.store.Close())
	assert.EqualValues(t, 1000-17, f.remaining(t, minute))
	for range 50 {
		assert.False(t, lease.Decided(allow(t, l, 1)), "later calls are the store's")
	}
	require.NoError(t, f.store.Close(), "twice")
}

// TestNothingIsRefusedThatTheProcessHas has the pool hold what the store lacks.
func TestNothingIsRefusedThatTheProcessHas(t *testing.T) {
	t.Parallel()
	f := newFixture(t, lease.Config{})
	limit := slidingwindow.Limit{Name: "m", Max: 30, Window: time.Minute}
	l := newLimiter(t, f.store, limit)
	f.warm(t, l)
	require.True(t, lease.Decided(allow(t, l, 1)))
	f.store.Settled()
	held := f.store.Left("k")
	require.Positive(t, held)
	require.EqualValues(t, 13-held, f.remaining(t, limit))
	d, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 13, d.Remaining)
	d, err = l.AllowCost(t.Context(), "k", slidingwindow.Cost{"m": 13 - held + 1})
	require.NoError(t, err)
	assert.True(t, d.Allowed)
	assert.EqualValues(t, held-1, d.Remaining)
	d, err = l.AllowAtMost(t.Context(), "k", 100)
	require.NoError(t, err)
	assert.EqualValues(t, held-1, d.Granted)
	refused := allow(t, l, 1)
	assert.False(t, refused.Allowed)
	assert.Zero(t, refused.Remaining)
	f.clock.Advance(refused.RetryAfter - time.Microsecond)
	assert.False(t, allow(t, l, 1).Allowed)
	f.clock.Advance(time.Microsecond)
	assert.True(t, allow(t, l, 1).Allowed, "RetryAfter is exact")
}

func TestWaitOfABusyKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, lease.Config{})
	l := newLimiter(t, f.store, slidingwindow.Limit{Name: "m", Max: 20, Window: time.Minute})
	f.warm(t, l)
	for range 4 {
		d, err := l.Reserve(t.Context(), "k", 1, time.Hour)
		require.NoError(t, err)
		require.True(t, d.Allowed)
		assert.Zero(t, d.Delay, "from the lease")
		f.store.Settled()
	}
	d, err := l.Reserve(t.Context(), "k", 1, time.Hour)
	require.NoError(t, err)
	assert.Equal(t, time.Minute, d.Delay, "in line, when the first calls leave")
}

// TestAnOutage has the store fail: what the process has is used, and then its calls fail, too.
func TestAnOutage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, lease.Config{})
	l := newLimiter(t, f.store, minute)
	f.warm(t, l)
	allow(t, l, 1)
	f.store.Settled()
	f.inner.fail(slidingwindow.ErrStoreUnavailable)
	held := f.store.Left("k")
	for range held {
		require.True(t, lease.Decided(allow(t, l, 1)))
	}
	_, err := l.Allow(t.Context(), "k")
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	f.inner.fail(nil)
	assert.True(t, allow(t, l, 1).Allowed)
}

// TestOverAGuard has leases over a guarded store, which is the order to have them in: what the
// fallback lends is settled there.
func TestOverAGuard(t *testing.T) {
	t.Parallel()
	clock := newClock()
	var stores [2]*memory.Store
	for i := range stores {
		var err error
		stores[i], err = memory.NewWithConfig(memory.Config{Clock: clock.Now})
		require.NoError(t, err)
	}
	inner := &counted{Store: stores[0], err: slidingwindow.ErrStoreUnavailable}
	guarded, err := guard.New(inner, guard.Config{OnFailure: guard.Fallback, Fallback: stores[1]})
	require.NoError(t, err)
	store, err := lease.NewOnClock(guarded, lease.Config{}, clock.Now)
	require.NoError(t, err)
	l := newLimiter(t, store, minute)
	leased := 0
	for range 100 {
		d := allow(t, l, 1)
		require.True(t, d.Allowed)
		require.Equal(t, slidingwindow.ReasonFallback, d.Reason)
		if lease.Decided(d) {
			leased++
		}
	}
	assert.Greater(t, leased, 50)
	require.NoError(t, store.Close())
	d, err := newLimiter(t, stores[1], minute).Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 900, d.Remaining, "what was left was given back to the fallback")

	_, err = guard.New(store, guard.Config{})
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidConfig, "not a guard over that again")
	open, err := guard.New(&counted{Store: stores[0], err: slidingwindow.ErrStoreUnavailable}, guard.Config{OnFailure: guard.Open})
	require.NoError(t, err)
	failOpen, err := lease.New(open, lease.Config{})
	require.NoError(t, err)
	for range 100 {
		require.Equal(t, slidingwindow.ReasonFailOpen, allow(t, newLimiter(t, failOpen, minute), 1).Reason)
	}
	assert.Zero(t, failOpen.Pools(), "nothing was taken, so nothing is lent")
}

// unsupported cannot take units ahead.
type unsupported struct{ slidingwindow.Store }

func (u unsupported) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	if req.Ahead > 0 {
		return slidingwindow.Decision{}, errors.ErrUnsupported
	}
	return u.Store.Take(ctx, req)
}

func TestAStoreThatLendsNothing(t *testing.T) {
	t.Parallel()
	inner, err := memory.NewWithConfig(memory.Config{})
	require.NoError(t, err)
	store, err := lease.New(unsupported{inner}, lease.Config{})
	require.NoError(t, err)
	l := newLimiter(t, store, minute)
	for range 100 {
		require.True(t, allow(t, l, 1).Allowed)
	}
	require.NoError(t, store.Close())
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, lease.Config{})
	l := newLimiter(t, f.store, minute)
	for i := range lease.MaxPools + 500 {
		for range lease.BusyCalls {
			_, err := l.Allow(t.Context(), fmt.Sprint(i))
			require.NoError(t, err)
		}
		f.clock.Advance(time.Millisecond)
	}
	assert.Equal(t, lease.MaxPools, f.store.Pools())
	f.clock.Advance(time.Second)
	f.store.Sweep()
	assert.Zero(t, f.store.Pools())
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	inner, err := memory.NewWithConfig(memory.Config{})
	require.NoError(t, err)
	for _, test := range []struct {
		store slidingwindow.Store
		given time.Duration
		want  string
	}{
		{nil, 0, "store is nil"},
		{(*memory.Store)(nil), 0, "store is nil"},
		{inner, -1, "lease.Config.For is -1ns; allowed: 1ms to the shortest Window of the limits (0s stands for the default of 50ms, or a twentieth of that Window)"},
		{inner, time.Millisecond - 1, "lease.Config.For is 999.999µs; allowed: 1ms"},
	} {
		_, err := lease.New(test.store, lease.Config{For: test.given})
		assert.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
		assert.ErrorContains(t, err, test.want)
	}
	store, err := lease.New(inner, lease.Config{For: 2 * time.Second})
	require.NoError(t, err)
	_, err = slidingwindow.New(store, minute, slidingwindow.Limit{Name: "s", Max: 5, Window: time.Second})
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
	assert.ErrorContains(t, err, `lease.Config.For is 2s; allowed: at most 1s, the Window of limit "s"`)
	l := newLimiter(t, store, minute)
	_, err = l.WithLimits(slidingwindow.PerSecond(5))
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
}

func TestADecisionFromALeaseAllocatesNothing(t *testing.T) {
	f := newFixture(t, lease.Config{})
	l := newLimiter(t, f.store, slidingwindow.Limit{Name: "m", Max: 1_000_000_000, Window: time.Minute})
	for range 100_000 { // so that a lease is far from its end
		require.True(t, allow(t, l, 1).Allowed)
	}
	f.store.Settled()
	require.Greater(t, f.store.Left("k"), int64(2000))
	assert.Zero(t, testing.AllocsPerRun(500, func() {
		if d, err := l.Allow(t.Context(), "k"); err != nil || !d.Allowed {
			t.Error(err)
		}
	}))
}

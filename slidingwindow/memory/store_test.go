package memory_test

import (
	"fmt"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
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

func TestMemoryStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		clock := newClock()
		store := newMemoryStore(t, memory.Config{Clock: clock.Now})
		return storetest.Harness{Store: store, Advance: clock.Advance, Expires: true}
	})
}

func allow(t testing.TB, l *slidingwindow.Limiter, key string) bool {
	t.Helper()
	d, err := l.Allow(t.Context(), key)
	require.NoError(t, err)
	return d.Allowed
}

func TestPromise5_MemoryIsBoundedByMaxKeysAndMax(t *testing.T) {
	t.Parallel()
	for _, maxKeys := range []int{1, 3, 1000, 5000} {
		clock := newClock()
		store := newMemoryStore(t, memory.Config{MaxKeys: maxKeys, Clock: clock.Now})
		l := newLimiter(t, store, slidingwindow.PerMinute(4))
		for i := range 3 * maxKeys {
			allow(t, l, fmt.Sprint("made up ", i))
			require.LessOrEqual(t, store.Keys(), maxKeys)
		}
		assert.GreaterOrEqual(t, store.Keys(), maxKeys*3/4, "and the room is used")
	}
	clock := newClock()
	store := newMemoryStore(t, memory.Config{Clock: clock.Now})
	l := newLimiter(t, store, slidingwindow.PerMinute(100))
	for range 10_000 {
		allow(t, l, "k")
		clock.Advance(100 * time.Millisecond)
	}
	assert.LessOrEqual(t, store.Entries(), 128, "a log of at most 100 hits")
	for range 100 {
		clock.Advance(time.Minute)
		allow(t, l, "k")
	}
	assert.LessOrEqual(t, store.Entries(), 8, "the room of a burst long gone is given back")
}

func TestLeastRecentlyUsedKeyIsForgottenFirst(t *testing.T) {
	t.Parallel()
	store := newMemoryStore(t, memory.Config{MaxKeys: 3})
	l := newLimiter(t, store, slidingwindow.PerMinute(2))
	for _, key := range []string{"a", "b", "c", "a", "d"} {
		require.True(t, allow(t, l, key))
	}
	assert.False(t, allow(t, l, "a"), "used after b, so b made room for d")
	assert.True(t, allow(t, l, "b"))
	assert.True(t, allow(t, l, "b"), "b was forgotten, and so has its full Max")
}

func TestRefusedKeyIsNotForgottenBeforeAnIdleOne(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := newMemoryStore(t, memory.Config{MaxKeys: 3, Clock: clock.Now})
	l := newLimiter(t, store, slidingwindow.PerMinute(1))
	require.True(t, allow(t, l, "attacker"))
	require.False(t, allow(t, l, "attacker"))
	for i := range 1000 {
		require.True(t, allow(t, l, fmt.Sprint("made up ", i)))
	}
	assert.False(t, allow(t, l, "attacker"), "a flood of made-up keys does not wash it out")

	clock.Advance(time.Minute)
	for i := range 3 {
		require.True(t, allow(t, l, fmt.Sprint("later ", i)))
	}
	assert.Equal(t, 3, store.Keys())
	assert.False(t, allow(t, l, "later 0"), "once it may come back it is idle, and goes first")
}

func TestKeyThatMayComeBackIsForgottenBeforeARefusedOne(t *testing.T) {
	t.Parallel()
	clock := newClock()
	l := newLimiter(t, newMemoryStore(t, memory.Config{MaxKeys: 2, Clock: clock.Now}), slidingwindow.PerMinute(2))
	require.True(t, allow(t, l, "soon"))
	clock.Advance(50 * time.Second)
	require.True(t, allow(t, l, "late"))
	require.True(t, allow(t, l, "late"))
	require.False(t, allow(t, l, "late"))
	require.True(t, allow(t, l, "soon"))
	require.False(t, allow(t, l, "soon"), "refused after late, but for 10s only")
	clock.Advance(20 * time.Second)
	require.True(t, allow(t, l, "new"))
	assert.False(t, allow(t, l, "late"))
}

func TestCallOnAnotherLimitDoesNotUnprotectARefusedKey(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := newMemoryStore(t, memory.Config{MaxKeys: 3, Clock: clock.Now})
	login := newLimiter(t, store, slidingwindow.Limit{Name: "login", Max: 1, Window: time.Hour})
	api := newLimiter(t, store, slidingwindow.Limit{Name: "api", Max: 1000, Window: time.Minute})
	other := newLimiter(t, store, slidingwindow.Limit{Name: "other", Max: 1, Window: time.Second})
	require.True(t, allow(t, login, "attacker"))
	require.True(t, allow(t, other, "attacker"))
	require.False(t, allow(t, login, "attacker"))
	require.False(t, allow(t, other, "attacker"), "a shorter refusal does not shorten the protection")
	require.True(t, allow(t, api, "attacker"))
	require.NoError(t, api.Reset(t.Context(), "attacker"))
	clock.Advance(time.Minute)
	for i := range 100 {
		require.True(t, allow(t, api, fmt.Sprint("made up ", i)))
	}
	assert.False(t, allow(t, login, "attacker"))
}

func TestKeyThatWaitedItsRefusalOutIsNotForgottenBeforeOlderOnes(t *testing.T) {
	t.Parallel()
	clock := newClock()
	l := newLimiter(t, newMemoryStore(t, memory.Config{MaxKeys: 5, Clock: clock.Now}), slidingwindow.PerMinute(10))
	for i := range 4 {
		require.True(t, allow(t, l, fmt.Sprint("idle ", i)))
	}
	clock.Advance(time.Second)
	for range 10 {
		require.True(t, allow(t, l, "abuser"))
		clock.Advance(time.Second)
	}
	d, err := l.Allow(t.Context(), "abuser")
	require.NoError(t, err)
	require.False(t, d.Allowed)
	clock.Advance(d.RetryAfter)
	require.True(t, allow(t, l, "new"))
	d, err = l.Peek(t.Context(), "abuser")
	require.NoError(t, err)
	assert.EqualValues(t, 1, d.Remaining)
}

func TestLogsOfALiveKeyAreForgotten(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := newMemoryStore(t, memory.Config{Clock: clock.Now})
	burst := newLimiter(t, store, slidingwindow.Limit{Name: "burst", Max: 10_000, Window: time.Second})
	slow := newLimiter(t, store, slidingwindow.Limit{Name: "slow", Max: 10, Window: time.Hour})
	require.True(t, allow(t, slow, "k"))
	for range 10_000 {
		require.True(t, allow(t, burst, "k"))
		clock.Advance(time.Nanosecond)
	}
	clock.Advance(2 * time.Second)
	require.True(t, allow(t, slow, "k"))
	assert.LessOrEqual(t, store.Entries(), 4)
}

func TestLongerRefusalProtectsForLonger(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := newMemoryStore(t, memory.Config{MaxKeys: 2, Clock: clock.Now})
	per := func(window time.Duration) *slidingwindow.Limiter {
		return newLimiter(t, store, slidingwindow.Limit{Max: 1, Window: window})
	}
	refuse := func(l *slidingwindow.Limiter, key string) {
		require.True(t, allow(t, l, key))
		require.False(t, allow(t, l, key))
	}
	refuse(per(10*time.Second), "long")
	refuse(per(30*time.Second), "short")
	refuse(per(100*time.Second), "long")
	clock.Advance(40 * time.Second)
	require.True(t, allow(t, per(time.Minute), "new"))
	assert.False(t, allow(t, per(100*time.Second), "long"))
}

func TestPromise5_IdleKeysAreForgottenAsOthersAreUsed(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := newMemoryStore(t, memory.Config{MaxKeys: 1000, Clock: clock.Now})
	l := newLimiter(t, store, slidingwindow.PerMinute(1))
	for i := range 500 {
		require.True(t, allow(t, l, fmt.Sprint("idle ", i)))
		if i%2 == 0 {
			require.False(t, allow(t, l, fmt.Sprint("idle ", i)))
		}
	}
	clock.Advance(2*time.Minute - time.Nanosecond)
	require.True(t, allow(t, l, "new"))
	require.Equal(t, 501, store.Keys())
	clock.Advance(time.Nanosecond)
	for i := range 300 {
		require.True(t, allow(t, l, fmt.Sprint("new ", i)))
	}
	assert.Equal(t, 301, store.Keys(), "two windows after their last hit they are gone")
}

func TestPromise5_LimitsOfOneKeyAreForgottenAsOthersComeUp(t *testing.T) {
	t.Parallel()
	clock := newClock()
	store := newMemoryStore(t, memory.Config{Clock: clock.Now})
	for i := range 1000 {
		l := newLimiter(t, store, slidingwindow.Limit{Name: fmt.Sprint("plan ", i), Max: 5, Window: time.Minute})
		require.True(t, allow(t, l, "k"))
		clock.Advance(time.Second)
	}
	assert.LessOrEqual(t, store.Entries(), 128*4, "the logs of the last two minutes")
}

func TestStoreOfRefusedKeysOnlyStillTakesNewOnes(t *testing.T) {
	t.Parallel()
	store := newMemoryStore(t, memory.Config{MaxKeys: 2})
	l := newLimiter(t, store, slidingwindow.PerMinute(1))
	for _, key := range []string{"a", "b", "c"} {
		require.True(t, allow(t, l, key))
		require.False(t, allow(t, l, key))
	}
	assert.True(t, allow(t, l, "a"), "the one that was refused longest ago made room")
	assert.False(t, allow(t, l, "c"))
}

// A log that is never empty adds up more units than an int64 holds.
func TestMemoryStoreCountsOnForEver(t *testing.T) {
	t.Parallel()
	const most = 999_999_999_999_999
	clock := newClock()
	l := newLimiter(t, newMemoryStore(t, memory.Config{Clock: clock.Now}), slidingwindow.Limit{Max: most, Window: time.Second})
	take := func(n int64) slidingwindow.Decision {
		d, err := l.AllowN(t.Context(), "k", n)
		require.NoError(t, err)
		return d
	}
	for range 30_000 {
		require.True(t, take(most/2).Allowed)
		clock.Advance(500 * time.Millisecond)
		refused := take(most/2 + 2)
		require.False(t, refused.Allowed)
		require.Equal(t, 500*time.Millisecond, refused.RetryAfter)
	}
}

func TestResetMakesRoom(t *testing.T) {
	t.Parallel()
	store := newMemoryStore(t, memory.Config{})
	l := newLimiter(t, store, slidingwindow.PerMinute(1))
	require.True(t, allow(t, l, "k"))
	require.False(t, allow(t, l, "k"))
	require.NoError(t, l.Reset(t.Context(), "k"))
	assert.Zero(t, store.Keys())
}

// Some HTTP servers hand out strings whose memory they use again for the next request.
func TestMemoryStoreKeepsACopyOfTheKey(t *testing.T) {
	t.Parallel()
	store := newMemoryStore(t, memory.Config{})
	l := newLimiter(t, store, slidingwindow.PerMinute(1))
	memory := []byte("user:0001")
	require.True(t, allow(t, l, unsafe.String(unsafe.SliceData(memory), len(memory))))
	copy(memory, "user:0002")
	assert.False(t, allow(t, l, "user:0001"))
	assert.True(t, allow(t, l, "user:0002"))
}

func TestMemoryStoreDefaultClockRuns(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, newMemoryStore(t, memory.Config{}), slidingwindow.Limit{Max: 1, Window: time.Millisecond})
	require.True(t, allow(t, l, "k"))
	require.Eventually(t, func() bool { return allow(t, l, "k") }, 10*time.Second, time.Millisecond)
}

func TestMemoryConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := memory.NewWithConfig(memory.Config{MaxKeys: -1})
	require.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
	assert.EqualError(t, err, "slidingwindow: invalid configuration: memory.Config.MaxKeys is -1; allowed: 1 or more keys (0 stands for the default of 100000)")
}

func TestMemoryStoreAllocatesNothingPerDecision(t *testing.T) {
	store := newMemoryStore(t, memory.Config{})
	allowed := newLimiter(t, store, slidingwindow.Limit{Name: "allowed", Max: 100, Window: time.Millisecond})
	refused := newLimiter(t, store, slidingwindow.Limit{Name: "refused", Max: 1, Window: time.Hour})
	for range 1000 { // the log grows to its size
		allow(t, allowed, "k")
		allow(t, refused, "k")
	}
	ctx := t.Context()
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = allowed.Allow(ctx, "k") }))
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = refused.Allow(ctx, "k") }))
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = refused.Peek(ctx, "k") }))
}

func TestPauseCostsALogLittleOfItsRoom(t *testing.T) {
	clock := newClock()
	l := newLimiter(t, newMemoryStore(t, memory.Config{Clock: clock.Now}), slidingwindow.PerSecond(100))
	ctx := t.Context()
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		for range 100 {
			_, _ = l.Allow(ctx, "k")
		}
		clock.Advance(1500 * time.Millisecond)
	}), 2.0, "smaller once, and as large again")
}

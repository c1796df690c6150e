package guard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// counted counts what is asked of a store.
type counted struct {
	slidingwindow.Store
	asked atomic.Int64
}

func (c *counted) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	c.asked.Add(1)
	return c.Store.Take(ctx, req)
}

const patience = time.Minute

func newGuard(t testing.TB, store slidingwindow.Store, config guard.Config) *guard.Store {
	t.Helper()
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	g, err := guard.New(store, config)
	require.NoError(t, err)
	return g
}

// ownRedis is a store over a server that the test may break.
func ownRedis(t *testing.T, timeout time.Duration) (*redisserver.Server, *counted) {
	t.Helper()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	store, err := slidingwindow.NewRedisStore(redistest.Connect(t, server.URL()), slidingwindow.RedisConfig{Timeout: timeout})
	require.NoError(t, err)
	return server, &counted{Store: store}
}

// noRedis is a store whose server has gone.
func noRedis(t *testing.T) slidingwindow.Store {
	t.Helper()
	server, store := ownRedis(t, 20*time.Millisecond)
	require.NoError(t, server.Kill())
	return store.Store
}

func TestStore(t *testing.T) {
	t.Parallel()
	t.Run("available/memory", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Harness {
			clock := newClock()
			store := newMemoryStore(t, memory.Config{Clock: clock.Now})
			return storetest.Harness{Store: newGuard(t, store, guard.Config{}), Advance: clock.Advance, Expires: true}
		})
	})
	t.Run("fallback", func(t *testing.T) {
		gone := noRedis(t)
		storetest.Run(t, func(t *testing.T) storetest.Harness {
			clock := newClock()
			fallback := newMemoryStore(t, memory.Config{Clock: clock.Now})
			g := newGuard(t, gone, guard.Config{OnFailure: guard.Fallback, Fallback: fallback})
			return storetest.Harness{Store: inItsPlace{g}, Advance: clock.Advance, Expires: true}
		})
	})
}

// inItsPlace hides that a fallback decides.
type inItsPlace struct{ slidingwindow.Store }

func (s inItsPlace) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	d, err := s.Store.Take(ctx, req)
	if d.Reason == slidingwindow.ReasonFallback {
		d.Reason = slidingwindow.ReasonRefused
		if d.Allowed {
			d.Reason = slidingwindow.ReasonAllowed
		}
	}
	return d, err
}

func (s inItsPlace) Settle(ctx context.Context, key string, d slidingwindow.Decision, units []int64) error {
	d.Reason = slidingwindow.ReasonFallback
	return s.Store.Settle(ctx, key, d, units)
}

func (s inItsPlace) Reset(ctx context.Context, key string, limits []slidingwindow.Limit) error {
	err := s.Store.Reset(ctx, key, limits)
	switch {
	case err == nil:
		return errors.New("a reset that the store does not know of must be an error")
	case errors.Is(err, slidingwindow.ErrStoreUnavailable):
		return nil
	default:
		return err
	}
}

func TestNewRefusesBadConfigs(t *testing.T) {
	t.Parallel()
	memory := newMemoryStore(t, memory.Config{})
	guarded := newGuard(t, memory, guard.Config{})
	for want, given := range map[string]struct {
		store  slidingwindow.Store
		config guard.Config
	}{
		`store is nil; make one with slidingwindow.NewRedisStore or memory.New`: {store: (*slidingwindow.RedisStore)(nil)},
		`guard.Config.OnFailure is "shut"; allowed: "closed", "open" or "fallback"`: {
			memory, guard.Config{OnFailure: "shut"}},
		`guard.Config.Fallback is nil; allowed: a store, such as a memory store, as OnFailure is "fallback"`: {
			memory, guard.Config{OnFailure: guard.Fallback}},
		`guard.Config.Fallback is set; allowed: only with OnFailure "fallback", and it is "closed"`: {
			memory, guard.Config{Fallback: memory}},
		`guard.Config.Instances is 3; allowed: only with OnFailure "fallback", and it is "open"`: {
			memory, guard.Config{OnFailure: guard.Open, Instances: 3}},
		`guard.Config.Fallback is guarded; allowed: a store that decides itself`: {
			memory, guard.Config{OnFailure: guard.Fallback, Fallback: guarded}},
		`store is guarded already; allowed: a store that decides itself`: {guarded, guard.Config{}},
		`guard.Config.Instances is -1; allowed: 1 or more processes (0 stands for the default of 1)`: {
			memory, guard.Config{OnFailure: guard.Fallback, Fallback: memory, Instances: -1}},
	} {
		_, err := guard.New(given.store, given.config)
		require.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
		assert.EqualError(t, err, "slidingwindow: invalid configuration: "+want)
	}
}

func TestFailurePolicies(t *testing.T) {
	t.Parallel()
	gone := noRedis(t)
	limit := slidingwindow.Limit{Name: "api", Max: 3, Window: time.Minute}

	t.Run("closed", func(t *testing.T) {
		l := newLimiter(t, newGuard(t, gone, guard.Config{}), limit)
		require.Eventually(t, func() bool {
			d, err := l.Allow(t.Context(), "k")
			require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
			require.Zero(t, d)
			require.ErrorIs(t, l.Reset(t.Context(), "k"), slidingwindow.ErrStoreUnavailable)
			return strings.Contains(err.Error(), "it is asked every 500ms only, until it answers")
		}, patience, time.Millisecond)
	})
	t.Run("open", func(t *testing.T) {
		l := newLimiter(t, newGuard(t, gone, guard.Config{OnFailure: guard.Open}), limit)
		for range 20 {
			d, err := l.AllowN(t.Context(), "k", 2)
			require.NoError(t, err)
			require.Equal(t, slidingwindow.Decision{Allowed: true, Reason: slidingwindow.ReasonFailOpen}, d)
			require.NoError(t, l.Refund(t.Context(), "k", d), "there is nothing to give back")
			d, err = l.Peek(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, slidingwindow.ReasonFailOpen, d.Reason)
		}
	})
	t.Run("fallback", func(t *testing.T) {
		fallback := newMemoryStore(t, memory.Config{})
		l := newLimiter(t, newGuard(t, gone, guard.Config{OnFailure: guard.Fallback, Fallback: fallback}), limit)
		var last slidingwindow.Decision
		for i := range 10 {
			d, err := l.Allow(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, slidingwindow.ReasonFallback, d.Reason)
			require.Equal(t, i < 3, d.Allowed)
			require.Equal(t, limit, d.Limit)
			if d.Allowed {
				last = d
			}
		}
		require.NoError(t, l.Refund(t.Context(), "k", last), "the fallback gives back what it took")
		d, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
		assert.EqualValues(t, 1, d.Remaining)
		assert.ErrorIs(t, l.Reset(t.Context(), "k"), slidingwindow.ErrStoreUnavailable)
		d, err = l.Peek(t.Context(), "k")
		require.NoError(t, err)
		assert.EqualValues(t, 3, d.Remaining, "the fallback was reset nevertheless")
	})
	t.Run("what ends one call is no failure of the store", func(t *testing.T) {
		fallback := newMemoryStore(t, memory.Config{})
		l := newLimiter(t, newGuard(t, gone, guard.Config{OnFailure: guard.Fallback, Fallback: fallback}), limit)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := l.Allow(ctx, "k")
		assert.ErrorIs(t, err, context.Canceled)
		_, err = l.AllowN(t.Context(), "k", 4)
		assert.ErrorIs(t, err, slidingwindow.ErrCostExceedsLimit)
		client := redistest.Client(t)
		prefix := redistest.Prefix(t, client)
		redis, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: prefix, Timeout: patience})
		require.NoError(t, err)
		l = newLimiter(t, newGuard(t, redis, guard.Config{OnFailure: guard.Open}), limit)
		require.NoError(t, client.Do(t.Context(), client.B().Set().Key(prefix+":{text}:api").Value("x").Build()).Error())
		for range 20 {
			_, err = l.Allow(t.Context(), "text")
			require.ErrorIs(t, err, slidingwindow.ErrForeignData)
			d, err := l.Peek(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, slidingwindow.ReasonAllowed, d.Reason)
		}
	})
}

func TestFallbackGivesAShare(t *testing.T) {
	t.Parallel()
	gone := noRedis(t)
	const instances = 3
	limits := []slidingwindow.Limit{{Name: "ten", Max: 10, Window: time.Minute}, {Name: "few", Max: 8, Window: time.Hour}}
	var all int64
	for range instances {
		g := newGuard(t, gone, guard.Config{
			OnFailure: guard.Fallback, Fallback: newMemoryStore(t, memory.Config{}), Instances: instances,
		})
		l := newLimiter(t, g, limits...)
		d, err := l.AllowN(t.Context(), "k", 3)
		require.NoError(t, err)
		assert.False(t, d.Allowed, "more than the share of 2")
		assert.Equal(t, time.Hour, d.RetryAfter)
		for range 10 {
			d, err = l.Allow(t.Context(), "k")
			require.NoError(t, err)
			all += d.Granted
		}
		assert.EqualValues(t, 3, d.Statuses()[0].Limit.Max, "it says what this process allows")
		assert.EqualValues(t, 2, d.Statuses()[1].Limit.Max)
		one := newLimiter(t, g, slidingwindow.PerMinute(instances-1))
		d, err = one.Allow(t.Context(), "k")
		require.NoError(t, err)
		assert.False(t, d.Allowed, "there is not one for each")
	}
	assert.EqualValues(t, 6, all, "in all processes no more than the least Max of 8")
}

func TestShareOfNothingIsWarnedOf(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	g := newGuard(t, newMemoryStore(t, memory.Config{}), guard.Config{
		OnFailure: guard.Fallback, Fallback: newMemoryStore(t, memory.Config{}), Instances: 6,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	l := newLimiter(t, g, slidingwindow.Limit{Name: "login", Max: 5, Window: time.Minute},
		slidingwindow.Limit{Name: "api", Max: 6, Window: time.Minute}, slidingwindow.Limit{Name: "none", Max: 0, Window: time.Minute})
	for range 3 {
		_, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
	}
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	assert.Contains(t, log.String(), `level=WARN msg="slidingwindow: a limit has less than one unit for each process, so it refuses every call in an outage" limit=login max=5 instances=6`)

	for i := range 2000 {
		plan, err := l.WithLimits(slidingwindow.Limit{Name: fmt.Sprint("plan-", i), Max: 1, Window: time.Minute})
		require.NoError(t, err)
		_, err = plan.Peek(t.Context(), "k")
		require.NoError(t, err)
	}
	assert.Equal(t, 1000, strings.Count(log.String(), "\n"), "what a program makes up is not remembered for ever")
}

// A decorator, and others that hold a guarded store.
type (
	decorator struct{ slidingwindow.Store }
	embeds    struct{ *guard.Store }
	sharded   struct {
		decorator
		second slidingwindow.Store
	}
)

// A refund would not find its way through two guards.
func TestAGuardedStoreIsNotGuardedAgain(t *testing.T) {
	t.Parallel()
	memory := newMemoryStore(t, memory.Config{})
	guarded := newGuard(t, memory, guard.Config{})
	for name, store := range map[string]slidingwindow.Store{
		"itself":             guarded,
		"embedded":           embeds{guarded},
		"embedded, pointer":  &embeds{guarded},
		"decorated":          decorator{guarded},
		"decorated embedded": &decorator{embeds{guarded}},
		"in a field":         sharded{decorator{memory}, decorator{guarded}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := guard.New(store, guard.Config{})
			require.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
			assert.ErrorContains(t, err, "store is guarded already")
			_, err = guard.New(memory, guard.Config{OnFailure: guard.Fallback, Fallback: store})
			require.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
			assert.ErrorContains(t, err, "Fallback is guarded")
		})
	}
	circle := &decorator{}
	circle.Store = circle
	for _, store := range []slidingwindow.Store{memory, decorator{memory}, sharded{decorator{memory}, memory}, decorator{}, circle} {
		_, err := guard.New(store, guard.Config{})
		assert.NoError(t, err, "%T", store)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

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

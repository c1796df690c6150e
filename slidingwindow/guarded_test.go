package slidingwindow_test

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

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/internal/storetest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// counted counts what is asked of a store.
type counted struct {
	slidingwindow.Store
	asked atomic.Int64
}

func (c *counted) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	c.asked.Add(1)
	return c.Store.Take(ctx, req)
}

func newGuardedStore(t testing.TB, store slidingwindow.Store, config slidingwindow.GuardConfig) *slidingwindow.GuardedStore {
	t.Helper()
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	g, err := slidingwindow.NewGuardedStore(store, config)
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

func TestGuardedStore(t *testing.T) {
	t.Parallel()
	t.Run("available/memory", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Harness {
			clock := newClock()
			store := newMemoryStore(t, memory.Config{Clock: clock.Now})
			return storetest.Harness{Store: newGuardedStore(t, store, slidingwindow.GuardConfig{}), Advance: clock.Advance, Expires: true}
		})
	})
	t.Run("available/redis", func(t *testing.T) {
		client := redistest.Client(t)
		storetest.Run(t, func(t *testing.T) storetest.Harness {
			h, _ := redisHarness(t, client)
			h.Store = newGuardedStore(t, h.Store, slidingwindow.GuardConfig{})
			return h
		})
	})
	t.Run("fallback", func(t *testing.T) {
		gone := noRedis(t)
		storetest.Run(t, func(t *testing.T) storetest.Harness {
			clock := newClock()
			fallback := newMemoryStore(t, memory.Config{Clock: clock.Now})
			g := newGuardedStore(t, gone, slidingwindow.GuardConfig{OnFailure: slidingwindow.FallBack, Fallback: fallback})
			return storetest.Harness{Store: inItsPlace{g}, Advance: clock.Advance, Expires: true}
		})
	})
}

// inItsPlace hides that a fallback decides.
type inItsPlace struct{ slidingwindow.Store }

func (s inItsPlace) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	d, err := s.Store.Take(ctx, req)
	if d.Reason == slidingwindow.ReasonFallback {
		d.Reason = slidingwindow.ReasonLimited
		if d.Allowed {
			d.Reason = slidingwindow.ReasonAllowed
		}
	}
	return d, err
}

func (s inItsPlace) Refund(ctx context.Context, key string, d slidingwindow.Decision) error {
	d.Reason = slidingwindow.ReasonFallback
	return s.Store.Refund(ctx, key, d)
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

func TestGuardedStoreRefusesBadConfigs(t *testing.T) {
	t.Parallel()
	inMemory := newMemoryStore(t, memory.Config{})
	guarded := newGuardedStore(t, inMemory, slidingwindow.GuardConfig{})
	for want, given := range map[string]struct {
		store  slidingwindow.Store
		config slidingwindow.GuardConfig
	}{
		`store is nil; make one with NewRedisStore or memory.New`: {store: (*slidingwindow.RedisStore)(nil)},
		`GuardConfig.OnFailure is "shut"; allowed: "closed", "open" or "fallback"`: {
			inMemory, slidingwindow.GuardConfig{OnFailure: "shut"}},
		`GuardConfig.Fallback is nil; allowed: a store, such as one of memory.New, as OnFailure is "fallback"`: {
			inMemory, slidingwindow.GuardConfig{OnFailure: slidingwindow.FallBack}},
		`GuardConfig.Fallback is set; allowed: only with OnFailure "fallback", and it is "closed"`: {
			inMemory, slidingwindow.GuardConfig{Fallback: inMemory}},
		`GuardConfig.Instances is 3; allowed: only with OnFailure "fallback", and it is "open"`: {
			inMemory, slidingwindow.GuardConfig{OnFailure: slidingwindow.FailOpen, Instances: 3}},
		`GuardConfig.Fallback is a GuardedStore; allowed: a store that decides itself`: {
			inMemory, slidingwindow.GuardConfig{OnFailure: slidingwindow.FallBack, Fallback: guarded}},
		`store is a GuardedStore; allowed: a store that decides itself`: {guarded, slidingwindow.GuardConfig{}},
		`GuardConfig.Instances is -1; allowed: 1 or more processes (0 stands for the default of 1)`: {
			inMemory, slidingwindow.GuardConfig{OnFailure: slidingwindow.FallBack, Fallback: inMemory, Instances: -1}},
	} {
		_, err := slidingwindow.NewGuardedStore(given.store, given.config)
		require.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
		assert.EqualError(t, err, "slidingwindow: invalid configuration: "+want)
	}
}

func TestFailurePolicies(t *testing.T) {
	t.Parallel()
	gone := noRedis(t)
	limit := slidingwindow.Limit{Name: "api", Max: 3, Window: time.Minute}

	t.Run("closed", func(t *testing.T) {
		l := newLimiter(t, newGuardedStore(t, gone, slidingwindow.GuardConfig{}), limit)
		for range 20 {
			d, err := l.Allow(t.Context(), "k")
			require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
			require.Zero(t, d)
			require.ErrorIs(t, l.Reset(t.Context(), "k"), slidingwindow.ErrStoreUnavailable)
		}
		_, err := l.Allow(t.Context(), "k")
		assert.ErrorContains(t, err, "it is asked every 500ms only, until it answers")
	})
	t.Run("open", func(t *testing.T) {
		l := newLimiter(t, newGuardedStore(t, gone, slidingwindow.GuardConfig{OnFailure: slidingwindow.FailOpen}), limit)
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
		l := newLimiter(t, newGuardedStore(t, gone, slidingwindow.GuardConfig{OnFailure: slidingwindow.FallBack, Fallback: fallback}), limit)
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
		l := newLimiter(t, newGuardedStore(t, gone, slidingwindow.GuardConfig{OnFailure: slidingwindow.FallBack, Fallback: fallback}), limit)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := l.Allow(ctx, "k")
		assert.ErrorIs(t, err, context.Canceled)
		_, err = l.AllowN(t.Context(), "k", 4)
		assert.ErrorIs(t, err, slidingwindow.ErrCostExceedsLimit)
		client := redistest.Client(t)
		redis, prefix := redisHarness(t, client)
		l = newLimiter(t, newGuardedStore(t, redis.Store, slidingwindow.GuardConfig{OnFailure: slidingwindow.FailOpen}), limit)
		require.NoError(t, do(t, client, "SET", slidingwindow.RedisKey(prefix, "text", "api"), "x").Error())
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
		g := newGuardedStore(t, gone, slidingwindow.GuardConfig{
			OnFailure: slidingwindow.FallBack, Fallback: newMemoryStore(t, memory.Config{}), Instances: instances,
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

// A thousand callers, while Redis does not answer: some of them wait for it, once, and then one at a time.
func TestOutageCostsOneTimeoutPerProbe(t *testing.T) {
	t.Parallel()
	const timeout = 250 * time.Millisecond
	server, store := ownRedis(t, timeout)
	var log lockedBuffer
	g := newGuardedStore(t, store, slidingwindow.GuardConfig{
		OnFailure: slidingwindow.FailOpen, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	l := newLimiter(t, g, slidingwindow.PerMinute(1_000_000))
	d, err := l.Allow(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, slidingwindow.ReasonAllowed, d.Reason)
	require.True(t, g.Available())

	require.NoError(t, server.Freeze())
	frozen := true
	defer func() {
		if frozen {
			_ = server.Thaw()
		}
	}()
	all := func() {
		var callers sync.WaitGroup
		for range 1000 {
			callers.Go(func() {
				d, err := l.Allow(t.Context(), "k")
				if assert.NoError(t, err) {
					assert.Equal(t, slidingwindow.ReasonFailOpen, d.Reason)
				}
			})
		}
		callers.Wait()
	}
	for range 3 { // until there was no answer for half a second
		all()
	}
	require.False(t, g.Available())
	asked := store.asked.Load()
	began := time.Now()
	for range 10 {
		all()
	}
	probes := 1 + int64(time.Since(began)/(500*time.Millisecond))
	assert.LessOrEqual(t, store.asked.Load()-asked, probes, "of 10,000 calls")

	require.NoError(t, server.Thaw())
	frozen = false
	require.Eventually(t, func() bool {
		d, err := l.Allow(t.Context(), "k")
		return assert.NoError(t, err) && d.Reason == slidingwindow.ReasonAllowed
	}, 10*time.Second, time.Millisecond, "it heals by itself")
	assert.True(t, g.Available())
	assert.Equal(t, 1, strings.Count(log.String(), `level=WARN msg="slidingwindow: the store is unavailable" on_failure=open error=`), log.String())
	assert.Equal(t, 1, strings.Count(log.String(), `level=INFO msg="slidingwindow: the store is available again" unavailable_for=`), log.String())
	assert.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())
}

// Callers whose own deadlines are shorter than the store's timeout must end in an outage, too;
// but not those in such a haste that a healthy Redis would be too slow for them.
func TestOutageIsSeenByCallersWithDeadlines(t *testing.T) {
	t.Parallel()
	server, store := ownRedis(t, 10*time.Second)
	g := newGuardedStore(t, store, slidingwindow.GuardConfig{OnFailure: slidingwindow.FailOpen})
	l := newLimiter(t, g, slidingwindow.PerMinute(1_000_000))
	require.NoError(t, server.Freeze())
	defer func() { assert.NoError(t, server.Thaw()) }()

	hasty := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := l.Allow(ctx, "k")
		return err
	}
	for range 50 {
		require.ErrorIs(t, hasty(time.Millisecond), context.DeadlineExceeded)
	}
	require.True(t, g.Available())
	for range 5 {
		require.ErrorIs(t, hasty(60*time.Millisecond), context.DeadlineExceeded)
	}
	require.False(t, g.Available())
	d, err := l.Allow(t.Context(), "k")
	require.NoError(t, err)
	assert.Equal(t, slidingwindow.ReasonFailOpen, d.Reason)
}

// A refusal from the cache says nothing about Redis, which may be gone.
func TestCachedRefusalsHideNoOutage(t *testing.T) {
	t.Parallel()
	server, store := ownRedis(t, 20*time.Millisecond)
	g := newGuardedStore(t, store, slidingwindow.GuardConfig{})
	l := newLimiter(t, g, slidingwindow.PerHour(1))
	require.Eventually(t, func() bool {
		d, err := l.Allow(t.Context(), "refused")
		return err == nil && d.Reason == slidingwindow.ReasonCached
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, server.Freeze())
	defer func() { assert.NoError(t, server.Thaw()) }()
	cached := 0
	for g.Available() && !t.Failed() {
		_, err := l.Allow(t.Context(), "other")
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
		if d, err := l.Allow(t.Context(), "refused"); err == nil && d.Reason == slidingwindow.ReasonCached {
			cached++
		}
	}
	assert.Positive(t, cached)
}

// Refusals that are not asked of Redis must not keep an outage from being found over.
func TestOutageEndsAlsoWhereAllIsRefused(t *testing.T) {
	t.Parallel()
	server, store := ownRedis(t, 100*time.Millisecond)
	g := newGuardedStore(t, store, slidingwindow.GuardConfig{})
	l, other := newLimiter(t, g, slidingwindow.PerHour(1)), newLimiter(t, g, slidingwindow.PerHour(100))
	require.Eventually(t, func() bool {
		d, err := l.Allow(t.Context(), "refused")
		return err == nil && d.Reason == slidingwindow.ReasonCached
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, server.Freeze())
	for g.Available() {
		_, err := other.Allow(t.Context(), "other")
		assert.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	}
	require.NoError(t, server.Thaw())
	require.Eventually(t, func() bool {
		_, _ = l.Allow(t.Context(), "refused")
		return g.Available()
	}, 10*time.Second, time.Millisecond)
}

// In an outage calls are answered by the policy, also those in haste: but one at a time.
func TestCallsInHasteAreAnsweredInAnOutage(t *testing.T) {
	t.Parallel()
	server, store := ownRedis(t, 100*time.Millisecond)
	g := newGuardedStore(t, store, slidingwindow.GuardConfig{OnFailure: slidingwindow.FailOpen})
	l := newLimiter(t, g, slidingwindow.PerHour(1000))
	require.NoError(t, server.Freeze())
	defer func() { assert.NoError(t, server.Thaw()) }()
	for range 5 {
		_, _ = l.Allow(t.Context(), "k")
	}
	require.False(t, g.Available())
	asked := store.asked.Load()
	began := time.Now()
	for time.Since(began) < 2*time.Second {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, _ = l.Allow(ctx, "k")
		cancel()
	}
	assert.LessOrEqual(t, store.asked.Load()-asked, 1+int64(time.Since(began)/(500*time.Millisecond)))
}

// A handler of logs may have a limit, too.
func TestOutageIsLoggedByWhoAsksTheSameStore(t *testing.T) {
	t.Parallel()
	handler := &limitedHandler{Handler: slog.DiscardHandler}
	g := newGuardedStore(t, noRedis(t), slidingwindow.GuardConfig{OnFailure: slidingwindow.FailOpen, Logger: slog.New(handler)})
	l := newLimiter(t, g, slidingwindow.PerHour(1000))
	handler.limiter = l
	for range 8 {
		_, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
	}
	assert.EqualValues(t, 1, handler.handled.Load())
}

type limitedHandler struct {
	slog.Handler
	limiter *slidingwindow.Limiter
	handled atomic.Int64
}

func (h *limitedHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *limitedHandler) Handle(ctx context.Context, _ slog.Record) error {
	h.handled.Add(1)
	_, err := h.limiter.Allow(ctx, "log")
	return err
}

func TestRefundOfNothingIsNoNewsOfTheStore(t *testing.T) {
	t.Parallel()
	g := newGuardedStore(t, noRedis(t), slidingwindow.GuardConfig{})
	l := newLimiter(t, g, slidingwindow.PerHour(1000))
	for range 5 {
		_, _ = l.Allow(t.Context(), "k")
	}
	require.False(t, g.Available())
	time.Sleep(600 * time.Millisecond) // the next call is let through
	require.NoError(t, g.Refund(t.Context(), "k", slidingwindow.Decision{}))
	assert.False(t, g.Available())
}

// One node of a Cluster is away, and the breaker stands for all: it must not keep calls from
// the others.
func TestAPartOfAClusterIsNoOutage(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartCluster(t.Context(), 3, "--cluster-require-full-coverage", "no")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Stop()) })
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: cluster.Addrs(), AlwaysPipelining: true})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	redis, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{})
	require.NoError(t, err)
	var log lockedBuffer
	g := newGuardedStore(t, redis, slidingwindow.GuardConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	l := newLimiter(t, g, slidingwindow.PerMinute(1_000_000))
	d, err := l.Allow(t.Context(), "k")
	require.NoError(t, err)
	require.True(t, d.Allowed)
	require.NoError(t, cluster.Nodes[0].Kill())

	var decided, failed atomic.Int64
	var callers sync.WaitGroup
	until := time.Now().Add(2 * time.Second)
	for i := range 32 {
		callers.Go(func() {
			for n := 0; time.Now().Before(until); n++ {
				if _, err := l.Allow(t.Context(), fmt.Sprint(i, "-", n)); err == nil {
					decided.Add(1)
				} else {
					failed.Add(1)
				}
			}
		})
	}
	callers.Wait()
	assert.Positive(t, failed.Load())
	assert.Greater(t, decided.Load(), failed.Load(), "two nodes of three are there")
	assert.Empty(t, log.String())
}

// What Redis answers when it is back may be another reason.
func TestAnotherReasonIsToldToo(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL())
	redis, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{})
	require.NoError(t, err)
	var log lockedBuffer
	g := newGuardedStore(t, redis, slidingwindow.GuardConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	l := newLimiter(t, g, slidingwindow.PerMinute(10))
	require.NoError(t, server.Kill())
	for range 5 {
		_, err := l.Allow(t.Context(), "k")
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	}
	require.NoError(t, server.Restart(t.Context()))
	_, err = server.Do(t.Context(), "CONFIG", "SET", "maxmemory", "1")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := l.Allow(t.Context(), "k")
		return err != nil && strings.Contains(err.Error(), "OOM") && strings.Contains(err.Error(), "is asked every")
	}, 10*time.Second, 5*time.Millisecond)
	time.Sleep(time.Second) // some more looks
	for range 20 {
		_, _ = l.Allow(t.Context(), "k")
	}
	assert.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
	assert.Equal(t, 1, strings.Count(log.String(), "for another reason"), log.String())
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

package guard_test

import (
	"context"
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
)

// awaitOutage makes calls that must fail, until the guard knows that all do.
func awaitOutage(t *testing.T, g *guard.Store, l *slidingwindow.Limiter) {
	t.Helper()
	require.Eventually(t, func() bool {
		d, err := l.Allow(t.Context(), "k")
		require.True(t, err != nil || d.Reason != slidingwindow.ReasonAllowed)
		return !g.Available()
	}, patience, time.Millisecond)
}

// A thousand callers, while Redis does not answer: some of them wait for it, once, and then one at a time.
func TestOutageCostsOneTimeoutPerProbe(t *testing.T) {
	t.Parallel()
	const timeout = 250 * time.Millisecond
	server, store := ownRedis(t, timeout)
	var log lockedBuffer
	g := newGuard(t, store, guard.Config{
		OnFailure: guard.Open, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	l := newLimiter(t, g, slidingwindow.PerMinute(1_000_000))
	require.Eventually(t, func() bool {
		d, err := l.Allow(t.Context(), "k")
		return assert.NoError(t, err) && d.Reason == slidingwindow.ReasonAllowed
	}, patience, time.Millisecond)
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
	for range 3 { // until all has failed for half a second
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
	}, patience, time.Millisecond, "it heals by itself")
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
	g := newGuard(t, store, guard.Config{OnFailure: guard.Open})
	l := newLimiter(t, g, slidingwindow.PerMinute(1_000_000))
	require.NoError(t, server.Freeze())
	defer func() { assert.NoError(t, server.Thaw()) }()

	hasty := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := l.Allow(ctx, "k")
		return err
	}
	for until := time.Now().Add(time.Second); time.Now().Before(until); {
		require.ErrorIs(t, hasty(time.Millisecond), context.DeadlineExceeded)
	}
	require.True(t, g.Available())
	require.Eventually(t, func() bool {
		require.ErrorIs(t, hasty(60*time.Millisecond), context.DeadlineExceeded)
		return !g.Available()
	}, patience, time.Millisecond)
	d, err := l.Allow(t.Context(), "k")
	require.NoError(t, err)
	assert.Equal(t, slidingwindow.ReasonFailOpen, d.Reason)
}

// A refusal from the cache says nothing about Redis, which may be gone.
func TestCachedRefusalsHideNoOutage(t *testing.T) {
	t.Parallel()
	server, store := ownRedis(t, 100*time.Millisecond)
	g := newGuard(t, store, guard.Config{})
	l := newLimiter(t, g, slidingwindow.PerHour(1))
	require.Eventually(t, func() bool {
		d, err := l.Allow(t.Context(), "refused")
		return err == nil && d.Reason == slidingwindow.ReasonCached
	}, patience, time.Millisecond)
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
	g := newGuard(t, store, guard.Config{})
	l, other := newLimiter(t, g, slidingwindow.PerHour(1)), newLimiter(t, g, slidingwindow.PerHour(100))
	require.Eventually(t, func() bool {
		d, err := l.Allow(t.Context(), "refused")
		return err == nil && d.Reason == slidingwindow.ReasonCached
	}, patience, time.Millisecond)
	require.NoError(t, server.Freeze())
	for g.Available() {
		_, err := other.Allow(t.Context(), "other")
		assert.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	}
	require.NoError(t, server.Thaw())
	require.Eventually(t, func() bool {
		_, _ = l.Allow(t.Context(), "refused")
		return g.Available()
	}, patience, time.Millisecond)
}

// In an outage calls are answered by the policy, also those in haste.
func TestCallsInHasteAreAnsweredInAnOutage(t *testing.T) {
	t.Parallel()
	server, store := ownRedis(t, 100*time.Millisecond)
	g := newGuard(t, store, guard.Config{OnFailure: guard.Open})
	l := newLimiter(t, g, slidingwindow.PerHour(1000))
	require.NoError(t, server.Freeze())
	defer func() { assert.NoError(t, server.Thaw()) }()
	awaitOutage(t, g, l)
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
	g := newGuard(t, noRedis(t), guard.Config{OnFailure: guard.Open, Logger: slog.New(handler)})
	l := newLimiter(t, g, slidingwindow.PerHour(1000))
	handler.limiter = l
	awaitOutage(t, g, l)
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

func TestRefundOfNothingAsksNobody(t *testing.T) {
	t.Parallel()
	g := newGuard(t, noRedis(t), guard.Config{})
	l := newLimiter(t, g, slidingwindow.PerHour(1000))
	require.NoError(t, g.Settle(t.Context(), "k", slidingwindow.Decision{}, nil))
	awaitOutage(t, g, l)
	require.NoError(t, g.Settle(t.Context(), "k", slidingwindow.Decision{}, nil))
	assert.False(t, g.Available())
}

// What Redis answers when it is back may be another reason.
func TestAnotherReasonIsToldToo(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL())
	redis, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: patience})
	require.NoError(t, err)
	var log lockedBuffer
	g := newGuard(t, redis, guard.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	l := newLimiter(t, g, slidingwindow.PerMinute(10))
	require.NoError(t, server.Kill())
	awaitOutage(t, g, l)
	require.NoError(t, server.Restart(t.Context()))
	_, err = server.Do(t.Context(), "CONFIG", "SET", "maxmemory", "1")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := l.Allow(t.Context(), "k")
		return err != nil && strings.Contains(err.Error(), "OOM") && strings.Contains(err.Error(), "is asked every")
	}, patience, 5*time.Millisecond)
	time.Sleep(time.Second) // some more looks
	for range 20 {
		_, _ = l.Allow(t.Context(), "k")
	}
	assert.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
	assert.Equal(t, 1, strings.Count(log.String(), "for another reason"), log.String())
}

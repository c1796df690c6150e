package slidingwindow_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// recorder is an Observer that keeps what it is told.
type recorder struct {
	mu      sync.Mutex
	decided []slidingwindow.Decided
	settled []slidingwindow.Settled
	waits   []string // names of limits
	ended   []error
	begun   chan struct{} // receives a value for each wait that begins, if not nil
}

func (r *recorder) Decided(_ context.Context, d slidingwindow.Decided) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decided = append(r.decided, d)
}

func (r *recorder) Settled(_ context.Context, s slidingwindow.Settled) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = append(r.settled, s)
}

func (r *recorder) Waits(_ context.Context, limit slidingwindow.Limit) func(error) {
	r.mu.Lock()
	r.waits = append(r.waits, limit.Name)
	r.mu.Unlock()
	if r.begun != nil {
		r.begun <- struct{}{}
	}
	return func(err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = append(r.ended, err)
	}
}

func (r *recorder) reasons() (reasons []slidingwindow.Reason) {
	for i := range r.decided {
		reasons = append(reasons, r.decided[i].Decision.Reason)
	}
	return reasons
}

// onBothStores runs a test with a limiter of each.
func onBothStores(t *testing.T, test func(t *testing.T, l *slidingwindow.Limiter), limits ...slidingwindow.Limit) {
	t.Helper()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		l, _ := newRedisLimiter(t, redistest.Client(t), limits...)
		test(t, l)
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, newLimiter(t, newMemoryStore(t, memory.Config{}), limits...))
	})
}

func TestAnObserverIsToldOfEachAnswerInEachMode(t *testing.T) {
	t.Parallel()
	onBothStores(t, func(t *testing.T, plain *slidingwindow.Limiter) {
		var told recorder
		l := plain.WithObserver(&told)
		d, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
		refused, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
		l.SetMode(slidingwindow.ModeShadow)
		allow(t, l, "k")
		l.SetMode(slidingwindow.ModeOff)
		allow(t, l, "k")
		require.Equal(t, slidingwindow.ModeOff, plain.Mode(), "the mode is shared")
		l.SetMode(slidingwindow.ModeEnforce)
		allow(t, l, "other")

		require.Len(t, told.decided, 5)
		assert.Equal(t, []slidingwindow.Reason{slidingwindow.ReasonAllowed, slidingwindow.ReasonRefused, slidingwindow.ReasonShadow,
			slidingwindow.ReasonOff, slidingwindow.ReasonAllowed}, told.reasons())
		assert.Equal(t, d, told.decided[0].Decision, "the answer, as the caller has it")
		assert.Equal(t, refused, told.decided[1].Decision)
		assert.Equal(t, told.decided[0].KeyHash, told.decided[1].KeyHash)
		assert.NotEqual(t, told.decided[0].KeyHash, told.decided[4].KeyHash)
		for i, decided := range told.decided {
			assert.Empty(t, decided.Request.Key, "an observer must not get a key")
			assert.Equal(t, l.Limits(), decided.Request.Limits)
			assert.EqualValues(t, 1, decided.Request.CostOf(0))
			assert.NoError(t, decided.Err)
			assert.GreaterOrEqual(t, decided.Duration, time.Duration(0), i)
		}
	}, slidingwindow.PerHour(1))
}

func TestAnObserverIsNotToldOfPeeksAndMistakes(t *testing.T) {
	t.Parallel()
	var told recorder
	l := newLimiter(t, memory.New(), slidingwindow.PerHour(1)).WithObserver(&told)
	_, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	_, err = l.Allow(t.Context(), "")
	require.ErrorIs(t, err, slidingwindow.ErrInvalidKey)
	_, err = l.AllowN(t.Context(), "k", 2)
	require.ErrorIs(t, err, slidingwindow.ErrCostExceedsLimit)
	require.ErrorIs(t, l.Charge(t.Context(), "", slidingwindow.Cost{l.Limits()[0].Name: 1}), slidingwindow.ErrInvalidKey)
	assert.Empty(t, told.decided)
	assert.Empty(t, told.settled)
}

func TestTheLimiterOfOtherLimitsHasTheSameObserver(t *testing.T) {
	t.Parallel()
	var told, other recorder
	l := newLimiter(t, memory.New(), slidingwindow.PerHour(1)).WithObserver(&told)
	plan, err := l.WithLimits(slidingwindow.PerDay(7))
	require.NoError(t, err)
	allow(t, plan, "k")
	require.Len(t, told.decided, 1)
	assert.Equal(t, slidingwindow.PerDay(7), told.decided[0].Decision.Limit)
	allow(t, l.WithObserver(&other), "k")
	allow(t, l.WithObserver(nil), "k")
	assert.Len(t, told.decided, 1)
	assert.Len(t, other.decided, 1)
}

func TestAnObserverIsToldWhatWasSettled(t *testing.T) {
	t.Parallel()
	requests, tokens := slidingwindow.Limit{Name: "requests", Max: 10, Window: time.Hour}, slidingwindow.Limit{Name: "tokens", Max: 1000, Window: time.Hour}
	onBothStores(t, func(t *testing.T, l *slidingwindow.Limiter) {
		var told recorder
		l = l.WithObserver(&told)
		d, err := l.AllowCost(t.Context(), "k", slidingwindow.Cost{"requests": 1, "tokens": 100})
		require.NoError(t, err)
		require.NoError(t, l.Settle(t.Context(), "k", d, slidingwindow.Cost{"tokens": 130}))
		d, err = l.AllowCost(t.Context(), "k", slidingwindow.Cost{"requests": 1, "tokens": 50})
		require.NoError(t, err)
		require.NoError(t, l.Refund(t.Context(), "k", d))
		require.NoError(t, l.Charge(t.Context(), "k", slidingwindow.Cost{"tokens": 7}))
		l.SetMode(slidingwindow.ModeOff)
		require.NoError(t, l.Charge(t.Context(), "k", slidingwindow.Cost{"tokens": 7}))
		assert.Equal(t, []slidingwindow.Settled{{Limit: tokens, Units: 30}, {Limit: requests, Units: -1}, {Limit: tokens, Units: -50}, {Limit: tokens, Units: 7}}, told.settled)
		assert.Len(t, told.decided, 2, "nothing is asked by Settle, Refund and Charge")
	}, requests, tokens)
}

func TestAnObserverIsToldWhoWaits(t *testing.T) {
	t.Parallel()
	limit := slidingwindow.Limit{Name: "line", Max: 1, Window: 50 * time.Millisecond}
	onBothStores(t, func(t *testing.T, l *slidingwindow.Limiter) {
		told := recorder{begun: make(chan struct{}, 1)}
		l = l.WithObserver(&told)
		require.NoError(t, l.Wait(t.Context(), "k"))
		require.Empty(t, told.waits, "there was nothing to wait for")
		require.NoError(t, l.Reset(t.Context(), "k"))

		long, err := l.WithLimits(slidingwindow.Limit{Name: "line", Max: 1, Window: time.Hour})
		require.NoError(t, err)
		require.NoError(t, long.Wait(t.Context(), "k"))
		ctx, cancel := context.WithCancelCause(t.Context())
		left := errors.New("left")
		go func() {
			<-told.begun
			cancel(left)
		}()
		waited := long.Wait(ctx, "k")
		require.ErrorIs(t, waited, left)
		assert.Equal(t, []string{"line"}, told.waits)
		assert.Equal(t, []error{waited}, told.ended)
		require.Len(t, told.settled, 1, "the place was given back")
		assert.EqualValues(t, -1, told.settled[0].Units)
	}, limit)
}

func TestAnObserverIsToldWhyThereIsNoDecision(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	l, _ := newRedisLimiter(t, client, slidingwindow.PerMinute(1))
	var told recorder
	l = l.WithObserver(&told)
	l.Store().(*slidingwindow.RedisStore).Close()
	_, err := l.Allow(t.Context(), "k")
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	require.Len(t, told.decided, 1)
	assert.Equal(t, err, told.decided[0].Err)
	assert.Equal(t, slidingwindow.Decision{}, told.decided[0].Decision)
}

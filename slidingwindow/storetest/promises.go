package storetest

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// take is AllowN of a call that must not fail.
func take(t testing.TB, l *slidingwindow.Limiter, key string, n int64) slidingwindow.Decision {
	t.Helper()
	d, err := l.AllowN(t.Context(), key, n)
	require.NoError(t, err)
	return d
}

// admitted makes calls of one unit and counts the allowed ones.
func admitted(t testing.TB, l *slidingwindow.Limiter, key string, calls int) int {
	t.Helper()
	count := 0
	for range calls {
		if take(t, l, key, 1).Allowed {
			count++
		}
	}
	return count
}

func noEdgeBurst(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(10))
	// A fixed window that began with the first hit would end 1us after the burst.
	require.True(t, take(t, l, "k", 1).Allowed)
	h.Advance(time.Minute - time.Microsecond)
	assert.Equal(t, 9, admitted(t, l, "k", 20))
	h.Advance(time.Microsecond)
	assert.Equal(t, 1, admitted(t, l, "k", 20), "only the first hit has left the window")
	h.Advance(time.Minute - 2*time.Microsecond)
	assert.Equal(t, 0, admitted(t, l, "k", 20))
	h.Advance(time.Microsecond + 8*h.Tick)
	assert.Equal(t, 9, admitted(t, l, "k", 20))
}

func concurrentCallsAdmitMax(t *testing.T, h Harness) {
	const limit, goroutines, calls = 50, 16, 20
	l := h.limiter(t, slidingwindow.PerMinute(limit))
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range calls {
				d, err := l.Allow(t.Context(), "k")
				if assert.NoError(t, err) && d.Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, limit, allowed.Load())
}

func clockSetBackAdmitsNoMore(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(3))
	require.Equal(t, 2, admitted(t, l, "k", 2))
	h.Advance(time.Minute + h.Tick)
	// The first two leave, and are forgotten.
	require.Equal(t, 3, admitted(t, l, "k", 4))
	h.Advance(-30 * time.Second)
	assert.Equal(t, 0, admitted(t, l, "k", 4))
	h.Advance(-time.Hour)
	assert.Equal(t, 0, admitted(t, l, "k", 4))

	// A hit ahead of the clock counts until it has left, later by the step; others leave in
	// their own time.
	require.Equal(t, 1, admitted(t, l, "behind", 1))
	h.Advance(-30 * time.Second)
	require.Equal(t, 2, admitted(t, l, "behind", 4))
	h.Advance(time.Minute - time.Microsecond)
	assert.Equal(t, 0, admitted(t, l, "behind", 1))
	h.Advance(time.Microsecond + h.Tick)
	assert.Equal(t, 2, admitted(t, l, "behind", 4))
	h.Advance(30*time.Second - time.Microsecond - h.Tick)
	assert.Equal(t, 0, admitted(t, l, "behind", 1))
	h.Advance(time.Microsecond)
	assert.Equal(t, 1, admitted(t, l, "behind", 4))
}

// nothingLeavesLaterThanItself is about a call whose hit comes before all others that count.
func nothingLeavesLaterThanItself(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.Limit{Max: 5, Window: 10 * time.Second})
	require.True(t, take(t, l, "k", 1).Allowed)
	h.Advance(-50 * time.Second)
	require.Equal(t, 10*time.Second, take(t, l, "k", 1).ReplenishAfter)
	h.Advance(15 * time.Second) // the second has left, the first is ahead
	assert.Equal(t, 10*time.Second, take(t, l, "k", 1).ReplenishAfter)
}

// clockSetBackAgainAndAgain holds what is admitted against the time that really passes.
func clockSetBackAgainAndAgain(t *testing.T, h Harness) {
	const limit, window = 5, 10 * time.Second
	l := h.limiter(t, slidingwindow.Limit{Max: limit, Window: window})
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	var real time.Duration
	var hits []time.Duration
	for range 2000 {
		step := time.Duration(random.Int64N(int64(2*time.Second))) / 1000 * 1000
		if random.IntN(10) == 0 {
			h.Advance(-5 * step)
		} else {
			h.Advance(step)
			real += step
		}
		if take(t, l, "k", 1).Allowed {
			hits = append(hits, real)
		}
	}
	require.Greater(t, len(hits), 100)
	for i := limit; i < len(hits); i++ {
		require.GreaterOrEqual(t, hits[i]-hits[i-limit], window, "hits %d to %d", i-limit, i)
	}
}

func refusalConsumesNothing(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(2))
	require.Equal(t, 2, admitted(t, l, "k", 2))
	for range 59 {
		h.Advance(time.Second)
		require.Equal(t, 0, admitted(t, l, "k", 3), "an eager client is refused")
	}
	h.Advance(time.Second + h.Tick)
	assert.Equal(t, 2, admitted(t, l, "k", 3), "and let in as soon as its hits have left")
}

func refusalByOneTakesFromNone(t *testing.T, h Harness) {
	short, hour := slidingwindow.Limit{Name: "short", Max: 2, Window: 10 * time.Second}, slidingwindow.PerHour(5)
	for name, limits := range map[string][]slidingwindow.Limit{
		"refused by the first":  {short, hour},
		"refused by the second": {hour, short},
	} {
		l := h.limiter(t, limits...)
		require.Equal(t, 2, admitted(t, l, name, 2))
		require.Equal(t, 0, admitted(t, l, name, 10))
		h.Advance(10*time.Second + h.Tick)
		require.Equal(t, 2, admitted(t, l, name, 10))
		h.Advance(10*time.Second + h.Tick)
		d := take(t, l, name, 1)
		assert.True(t, d.Allowed, "%s: 20 refusals took nothing from the hour", name)
		for _, s := range d.Statuses() {
			assert.EqualValues(t, map[string]int64{"short": 1, "5-per-1h": 0}[s.Limit.Name], s.Remaining, name)
		}
	}
}

// storesClockDecides would fail on a store that looks at the clock of the machine,
// which hardly moves during the test.
func storesClockDecides(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerDay(1))
	require.Equal(t, 1, admitted(t, l, "k", 2))
	h.Advance(24*time.Hour - time.Microsecond)
	d := take(t, l, "k", 1)
	assert.False(t, d.Allowed)
	assert.Equal(t, time.Microsecond, d.RetryAfter)
	h.Advance(time.Microsecond)
	assert.Equal(t, 1, admitted(t, l, "k", 2))
}

func lockOutNoLongerThanTheStep(t *testing.T, h Harness) {
	const step = 10 * time.Minute
	l := h.limiter(t, slidingwindow.PerMinute(1))
	require.Equal(t, 1, admitted(t, l, "k", 1))
	h.Advance(-step)
	d := take(t, l, "k", 1)
	require.False(t, d.Allowed)
	assert.Equal(t, time.Minute+step, d.RetryAfter)
	h.Advance(d.RetryAfter - time.Microsecond)
	assert.Equal(t, 0, admitted(t, l, "k", 1))
	h.Advance(time.Microsecond)
	assert.Equal(t, 1, admitted(t, l, "k", 1))
}

func hitsInOneMicrosecond(t *testing.T, h Harness) {
	// More than a log entry's counter of 1,000 can tell apart.
	const limit = 1005
	l := h.limiter(t, slidingwindow.PerMinute(limit))
	assert.Equal(t, limit, admitted(t, l, "ones", limit+10))
	assert.EqualValues(t, 0, take(t, l, "ones", 1).Remaining)

	for i := range int64(5) {
		require.True(t, take(t, l, "mixed", 100).Allowed)
		require.True(t, take(t, l, "mixed", 100).Allowed)
		require.EqualValues(t, limit-201*(i+1), take(t, l, "mixed", 1).Remaining)
	}
	assert.Equal(t, 0, admitted(t, l, "mixed", 1))
}

func retryAfterIsExact(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.Limit{Max: 10, Window: time.Minute})
	hits := []int64{1, 4, 1, 1, 3}
	for _, n := range hits {
		require.True(t, take(t, l, "k", n).Allowed)
		h.Advance(1_234_567 * time.Microsecond)
	}
	for cost := range int64(10) {
		key, cost := "k", cost+1
		d := take(t, l, key, cost)
		require.False(t, d.Allowed)
		h.Advance(d.RetryAfter - time.Microsecond)
		before, err := l.AllowN(t.Context(), key, cost)
		require.NoError(t, err)
		assert.False(t, before.Allowed, "1us before the RetryAfter of cost %d", cost)
		assert.Equal(t, time.Microsecond, before.RetryAfter)
		h.Advance(time.Microsecond)
		assert.True(t, take(t, l, key, cost).Allowed, "at the RetryAfter of cost %d", cost)
		// Fill the log again with units that leave one by one.
		for range 10 {
			h.Advance(777 * time.Millisecond)
			take(t, l, key, 1)
		}
	}
}

func retryAfterOfSeveralLimits(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.Limit{Max: 3, Window: 10 * time.Second}, slidingwindow.PerMinute(4), slidingwindow.PerHour(100))
	require.True(t, take(t, l, "k", 2).Allowed)
	h.Advance(9 * time.Second)
	require.True(t, take(t, l, "k", 1).Allowed)
	// Two more units wait for the ten seconds, three more for the minute too.
	for _, cost := range []int64{2, 3} {
		d := take(t, l, "k", cost)
		require.False(t, d.Allowed)
		h.Advance(d.RetryAfter - time.Microsecond)
		assert.False(t, take(t, l, "k", cost).Allowed, "cost %d", cost)
		h.Advance(time.Microsecond)
		assert.True(t, take(t, l, "k", cost).Allowed, "cost %d", cost)
	}
}

func badCallFailsAlone(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(100))
	var wg sync.WaitGroup
	for i := range 90 {
		wg.Go(func() {
			switch i % 3 {
			case 0:
				_, err := l.AllowN(t.Context(), "k", 101)
				assert.ErrorIs(t, err, slidingwindow.ErrCostExceedsLimit)
			case 1:
				_, err := l.Allow(t.Context(), "")
				assert.ErrorIs(t, err, slidingwindow.ErrInvalidKey)
			default:
				d, err := l.Allow(t.Context(), "k")
				assert.NoError(t, err)
				assert.True(t, d.Allowed)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 69, take(t, l, "k", 1).Remaining)
}

package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// eachWindowHolds has limits of one name with different windows, as two services have that share
// a store, or two plans.
func eachWindowHolds(t *testing.T, h Harness) {
	hour := h.limiter(t, slidingwindow.Limit{Name: "api", Max: 10, Window: time.Hour})
	second := h.limiter(t, slidingwindow.Limit{Name: "api", Max: 5, Window: time.Second})
	for _, cost := range []int64{1, 5} {
		key := fmt.Sprint("cost ", cost)
		for range 10 / cost {
			require.True(t, take(t, hour, key, cost).Allowed)
		}
		assert.False(t, take(t, second, key, 1).Allowed, "they are of this second, too")
		h.Advance(2 * time.Second)
		assert.True(t, take(t, second, key, 1).Allowed)
		assert.Equal(t, 0, admitted(t, hour, key, 20), "0 more of the hour")
		for range 40 {
			h.Advance(time.Minute)
			assert.Equal(t, 5, admitted(t, second, key, 6))
			assert.Equal(t, 0, admitted(t, hour, key, 1))
		}
	}
}

// longWindowHoldsForLong has a short window come first whenever the log looks for the longest window
// that is in use.
func longWindowHoldsForLong(t *testing.T, h Harness) {
	hour := h.limiter(t, slidingwindow.Limit{Name: "api", Max: 10, Window: time.Hour})
	second := h.limiter(t, slidingwindow.Limit{Name: "api", Max: 5, Window: time.Second})
	require.True(t, take(t, hour, "k", 1).Allowed)
	for range 4 {
		h.Advance(31 * time.Minute)
		require.True(t, take(t, hour, "k", 3).Allowed)
		h.Advance(30 * time.Minute)
		require.True(t, take(t, second, "k", 1).Allowed)
		assert.EqualValues(t, 6, remaining(t, hour, "k"), "three of the hour and one of the second")
	}
}

// unusedWindowsAreForgotten stops using a long window: the log must not keep its hits for ever.
func unusedWindowsAreForgotten(t *testing.T, h Harness) {
	if h.Keeps {
		t.Skip("Harness.Keeps: the store forgets no hit")
	}
	hour := h.limiter(t, slidingwindow.Limit{Name: "api", Max: 1000, Window: time.Hour})
	second := h.limiter(t, slidingwindow.Limit{Name: "api", Max: 5, Window: time.Second})
	require.True(t, take(t, hour, "k", 1).Allowed)
	for range 3 * 60 {
		require.Equal(t, 3, admitted(t, second, "k", 3))
		h.Advance(time.Minute)
	}
	d, err := hour.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.GreaterOrEqual(t, d.Remaining, int64(997), "two hours after the last call of the hour its window is not kept")
}

// noWindowOfANameHoldsMoreThanMax holds what calls of each window were allowed against its Max.
func noWindowOfANameHoldsMoreThanMax(t *testing.T, h Harness) {
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		limits := []slidingwindow.Limit{
			{Name: "x", Max: rapid.Int64Range(1, 9).Draw(rt, "long"), Window: time.Minute},
			{Name: "x", Max: rapid.Int64Range(1, 5).Draw(rt, "short"), Window: 10 * time.Second},
		}
		limiters := []*slidingwindow.Limiter{h.limiter(rt, limits[0]), h.limiter(rt, limits[1])}
		var now time.Duration
		hits := make([][]naive.Hit, len(limits))
		for range 60 {
			d := (clockSteps().Draw(rt, "step") / 12).Truncate(time.Microsecond)
			h.Advance(d)
			now += d
			i := rapid.IntRange(0, 1).Draw(rt, "limit")
			n := rapid.Int64Range(1, limits[i].Max).Draw(rt, "units")
			got, err := limiters[i].AllowN(rt.Context(), fmt.Sprint("windows ", run), n)
			require.NoError(rt, err)
			if got.Allowed {
				hits[i] = append(hits[i], naive.Hit{At: now, Units: n})
			}
		}
		for i, limit := range limits {
			naive.CheckWindows(rt, hits[i], limit)
		}
	})
}

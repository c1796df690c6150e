package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// toNextTen is how long it is from Epoch to the next multiple of 10 seconds.
const toNextTen = 8_765_433 * time.Microsecond

// inTens allows so many a minute; calls of 10 seconds share an entry.
func inTens(max int64) slidingwindow.Limit {
	return slidingwindow.Limit{Name: "tens", Max: max, Window: time.Minute, Resolution: 10 * time.Second}
}

func callsOfAResolutionLeaveTogether(t *testing.T, h Harness) {
	l := h.limiter(t, inTens(10))
	d := take(t, l, "k", 3)
	require.True(t, d.Allowed)
	assert.EqualValues(t, 7, d.Remaining)
	assert.Equal(t, time.Minute+toNextTen, d.ReplenishAfter)
	h.Advance(toNextTen)
	assert.Equal(t, time.Minute, take(t, l, "k", 4).ReplenishAfter, "the end of a Resolution is in it")
	h.Advance(time.Microsecond)
	last := take(t, l, "k", 3)
	require.True(t, last.Allowed)
	assert.Zero(t, last.Remaining)
	assert.Equal(t, time.Minute-time.Microsecond, take(t, l, "k", 1).RetryAfter)

	h.Advance(time.Minute - 2*time.Microsecond)
	assert.Equal(t, 0, admitted(t, l, "k", 1), "1us before the first two leave")
	h.Advance(time.Microsecond)
	assert.Equal(t, 7, admitted(t, l, "k", 9), "they leave together")
	h.Advance(10*time.Second - time.Microsecond)
	assert.Equal(t, 0, admitted(t, l, "k", 1), "the third is in the next Resolution")
	h.Advance(time.Microsecond)
	assert.Equal(t, 3, admitted(t, l, "k", 9))
}

// earlyByLessThanResolution holds each answer against the hits themselves: with those of the last Window
// a call that does not fit must be refused; with those of a Resolution more, one that fits must
// be allowed.
func earlyByLessThanResolution(t *testing.T, h Harness) {
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		for range schedulesPerCheck {
			run++
			limit := slidingwindow.Limit{
				Name: "x", Max: rapid.Int64Range(1, 9).Draw(rt, "max"), Window: time.Minute,
				Resolution: rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 10 * time.Second, time.Minute}).Draw(rt, "resolution"),
			}
			resolutionSchedule(rt, h, limit, fmt.Sprint("resolution ", run))
		}
	})
}

func resolutionSchedule(rt *rapid.T, h Harness, limit slidingwindow.Limit, key string) {
	l := h.limiter(rt, limit)
	var now time.Duration
	var hits []naive.Hit
	used := func(window time.Duration) (units int64) {
		for _, hit := range hits {
			if hit.At > now-window {
				units += hit.Units
			}
		}
		return units
	}
	for range 25 {
		d := (clockSteps().Draw(rt, "step") / 4).Truncate(time.Microsecond)
		h.Advance(d)
		now += d
		n := rapid.Int64Range(1, limit.Max).Draw(rt, "units")
		if rapid.IntRange(0, 4).Draw(rt, "kind") == 0 {
			got, err := l.Reserve(rt.Context(), key, n, time.Minute)
			require.NoError(rt, err)
			if got.Allowed {
				hits = append(hits, naive.Hit{At: now + got.Delay, Units: n})
			}
			continue
		}
		fits, surely := used(limit.Window)+n <= limit.Max, used(limit.Window+limit.Resolution)+n <= limit.Max
		got, err := l.AllowN(rt.Context(), key, n)
		require.NoError(rt, err)
		require.True(rt, fits || !got.Allowed, "more than Max: %d units at %v of %v", n, now, hits)
		require.True(rt, got.Allowed || !surely, "refused too early: %d units at %v of %v", n, now, hits)
		switch {
		case !got.Allowed:
		case rapid.IntRange(0, 4).Draw(rt, "refund") == 0:
			require.NoError(rt, l.Refund(rt.Context(), key, got))
		default:
			hits = append(hits, naive.Hit{At: now, Units: n})
		}
	}
	slices.SortStableFunc(hits, func(a, b naive.Hit) int { return int(a.At - b.At) })
	naive.CheckWindows(rt, hits, limit)
}

func retryAfterIsExactWithResolution(t *testing.T, h Harness) {
	l := h.limiter(t, inTens(10))
	for range 4 {
		require.True(t, take(t, l, "k", 1).Allowed)
		require.True(t, take(t, l, "k", 1).Allowed)
		h.Advance(7_654_321 * time.Microsecond)
	}
	for cost := int64(3); cost <= 10; cost++ {
		d := take(t, l, "k", cost)
		require.False(t, d.Allowed)
		h.Advance(d.RetryAfter - time.Microsecond)
		assert.Equal(t, time.Microsecond, take(t, l, "k", cost).RetryAfter, "cost %d", cost)
		h.Advance(time.Microsecond)
		assert.True(t, take(t, l, "k", cost).Allowed, "cost %d", cost)
		admitted(t, l, "k", 10)
	}
}

func refundFromASharedEntry(t *testing.T, h Harness) {
	l := h.limiter(t, inTens(100))
	one, five, tail := take(t, l, "k", 1), take(t, l, "k", 5), take(t, l, "k", 20)
	require.NoError(t, l.Refund(t.Context(), "k", five))
	assert.EqualValues(t, 79, remaining(t, l, "k"), "its units, not the entry's")
	require.NoError(t, l.Settle(t.Context(), "k", tail, slidingwindow.Cost{"tens": 2}))
	assert.EqualValues(t, 97, remaining(t, l, "k"))
	h.Advance(toNextTen)
	last := take(t, l, "k", 1)
	require.NoError(t, l.Settle(t.Context(), "k", last, slidingwindow.Cost{"tens": 60}), "more than it took")
	assert.EqualValues(t, 37, remaining(t, l, "k"))
	h.Advance(time.Minute - time.Microsecond)
	assert.EqualValues(t, 37, remaining(t, l, "k"), "they keep their time")
	require.NoError(t, l.Refund(t.Context(), "k", one))
	assert.EqualValues(t, 38, remaining(t, l, "k"))
	h.Advance(time.Microsecond)
	assert.EqualValues(t, 100, remaining(t, l, "k"))

	all := take(t, l, "all", 7)
	require.NoError(t, l.Refund(t.Context(), "all", all))
	d, err := l.Peek(t.Context(), "all")
	require.NoError(t, err)
	assert.EqualValues(t, 100, d.Remaining)
	assert.Zero(t, d.ReplenishAfter, "nothing is left of the entry")
	require.NoError(t, l.Refund(t.Context(), "all", all), "of what is gone")
	assert.EqualValues(t, 100, remaining(t, l, "all"))

	most, err := l.AllowAtMost(t.Context(), "most", 70)
	require.NoError(t, err)
	rest, err := l.AllowAtMost(t.Context(), "most", 70)
	require.NoError(t, err)
	assert.EqualValues(t, 30, rest.Granted)
	require.NoError(t, l.Refund(t.Context(), "most", most))
	assert.EqualValues(t, 70, remaining(t, l, "most"))
}

func concurrentCallsShareEntries(t *testing.T, h Harness) {
	l := h.limiter(t, inTens(200), slidingwindow.PerHour(300))
	decisions := make([]slidingwindow.Decision, 250)
	var all sync.WaitGroup
	for i := range decisions {
		all.Go(func() {
			d, err := l.AllowN(t.Context(), "k", 1)
			assert.NoError(t, err)
			decisions[i] = d
		})
	}
	all.Wait()
	require.Equal(t, []int64{0, 100}, left(t, l, "k"))
	for _, d := range decisions[:120] {
		all.Go(func() { assert.NoError(t, l.Refund(t.Context(), "k", d)) })
	}
	all.Wait()
	var refunded int64
	for _, d := range decisions[:120] {
		refunded += d.Granted
	}
	assert.Equal(t, []int64{refunded, 100 + refunded}, left(t, l, "k"))
}

func resolutionIsOfEachLimit(t *testing.T, h Harness) {
	l := h.limiter(t, inTens(10), slidingwindow.Limit{Name: "exact", Max: 5, Window: time.Minute})
	for range 5 {
		require.True(t, take(t, l, "k", 1).Allowed)
		h.Advance(time.Second)
	}
	d := take(t, l, "k", 1)
	require.False(t, d.Allowed)
	assert.Equal(t, 55*time.Second, d.RetryAfter, "of the exact one")
	h.Advance(55 * time.Second)
	d = take(t, l, "k", 1)
	require.True(t, d.Allowed)
	assert.EqualValues(t, 4, d.Statuses()[0].Remaining, "none has left the other one")
	assert.Equal(t, toNextTen, d.Statuses()[0].ReplenishAfter)
}

func placesWithResolution(t *testing.T, h Harness) {
	l := h.limiter(t, inTens(2))
	for range 2 {
		require.Zero(t, reserve(t, l, "k", 1, forever).Delay, "nobody waits for the end of a Resolution")
	}
	leaves := time.Minute + toNextTen
	third := reserve(t, l, "k", 1, forever)
	require.Equal(t, leaves, third.Delay)
	require.Equal(t, leaves, reserve(t, l, "k", 1, forever).Delay)
	require.Equal(t, leaves+time.Minute, reserve(t, l, "k", 1, forever).Delay)
	assert.Equal(t, 0, admitted(t, l, "k", 1))
	require.NoError(t, l.Refund(t.Context(), "k", third))
	assert.Equal(t, leaves+time.Minute, place(t, l, "k"), "nobody overtakes who stands there")

	// A place that another limit puts off shares the entry of its own time.
	l = h.limiter(t, inTens(5), slidingwindow.Limit{Name: "exact", Max: 1, Window: time.Second})
	require.Zero(t, reserve(t, l, "two", 1, forever).Delay)
	later := reserve(t, l, "two", 1, forever)
	assert.Equal(t, time.Second, later.Delay)
	assert.EqualValues(t, 3, later.Statuses()[0].Remaining)
	require.NoError(t, l.Refund(t.Context(), "two", later))
	d, err := l.Peek(t.Context(), "two")
	require.NoError(t, err)
	assert.EqualValues(t, 4, d.Statuses()[0].Remaining)
}

// resolutionMayChange has limiters of one name with and without a Resolution, as during a deployment.
func resolutionMayChange(t *testing.T, h Harness) {
	tens := h.limiter(t, inTens(6))
	exact := h.limiter(t, slidingwindow.Limit{Name: "tens", Max: 6, Window: time.Minute})
	h.Advance(toNextTen) // so that entries of both have the same time
	shared := []slidingwindow.Decision{take(t, tens, "k", 1), take(t, tens, "k", 1)}
	alone := []slidingwindow.Decision{take(t, exact, "k", 2), take(t, exact, "k", 1), take(t, exact, "k", 1)}
	for i, l := range []*slidingwindow.Limiter{tens, exact} {
		assert.Equal(t, 0, admitted(t, l, "k", 1), i)
	}
	require.NoError(t, exact.Refund(t.Context(), "k", alone[0]))
	assert.EqualValues(t, 2, remaining(t, tens, "k"))
	require.NoError(t, tens.Refund(t.Context(), "k", shared[0]))
	assert.EqualValues(t, 3, remaining(t, exact, "k"))
	for range 2 {
		require.NoError(t, exact.Refund(t.Context(), "k", alone[0]), "twice")
		require.NoError(t, exact.Refund(t.Context(), "k", alone[1]))
		assert.EqualValues(t, 4, remaining(t, exact, "k"))
	}
	h.Advance(time.Minute - time.Microsecond)
	assert.EqualValues(t, 4, remaining(t, exact, "k"))
	h.Advance(time.Microsecond + h.Tick)
	assert.EqualValues(t, 6, remaining(t, exact, "k"))
}

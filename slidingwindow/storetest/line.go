package storetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const forever = time.Duration(math.MaxInt64)

func reserve(t testing.TB, l *slidingwindow.Limiter, key string, n int64, maxWait time.Duration) slidingwindow.Decision {
	t.Helper()
	d, err := l.Reserve(t.Context(), key, n, maxWait)
	require.NoError(t, err)
	return d
}

// place is how far ahead a unit could be used by who comes now.
func place(t testing.TB, l *slidingwindow.Limiter, key string) time.Duration {
	t.Helper()
	d := reserve(t, l, key, 1, 0)
	require.False(t, d.Allowed, "somebody stands in line")
	return d.RetryAfter
}

func waitersStandInLine(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(2))
	for i, want := range []time.Duration{0, h.Tick, time.Minute, time.Minute + h.Tick, 2 * time.Minute} {
		d := reserve(t, l, "k", 1, 2*time.Minute)
		require.True(t, d.Allowed, i)
		require.Equal(t, want, d.Delay, "place %d", i)
		require.EqualValues(t, 1, d.Granted)
	}
	refused := reserve(t, l, "k", 1, 2*time.Minute-time.Microsecond)
	assert.False(t, refused.Allowed)
	assert.Equal(t, slidingwindow.ReasonRefused, refused.Reason)
	assert.Zero(t, refused.Delay)
	assert.Equal(t, 2*time.Minute+h.Tick, refused.RetryAfter, "as far ahead its place would be")
	assert.Equal(t, 2*time.Minute+h.Tick, reserve(t, l, "k", 1, forever).Delay, "a refusal took nothing")

	// A cost waits until all of it fits, and who comes after it does not overtake it.
	l = h.limiter(t, slidingwindow.PerMinute(3))
	take(t, l, "costs", 2)
	assert.Equal(t, time.Minute, reserve(t, l, "costs", 2, forever).Delay)
	assert.Equal(t, time.Minute, reserve(t, l, "costs", 1, forever).Delay, "there is one left now, and one then")
}

func nobodyJumpsTheLine(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(2))
	require.Equal(t, 2, admitted(t, l, "k", 3))
	h.Advance(30 * time.Second)
	for range 3 {
		reserve(t, l, "k", 1, forever) // for 60s, 60s and 120s
	}
	for range 29 {
		h.Advance(time.Second)
		require.Equal(t, 0, admitted(t, l, "k", 3))
	}
	h.Advance(time.Second)
	require.Equal(t, 0, admitted(t, l, "k", 3), "what leaves now is for those who wait")
	h.Advance(time.Minute - time.Microsecond)
	require.Equal(t, 0, admitted(t, l, "k", 3))
	h.Advance(time.Microsecond + h.Tick)
	require.Equal(t, 1, admitted(t, l, "k", 3), "the line has ended")
}

func placeFitsAllLimits(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.Limit{Name: "short", Max: 2, Window: 10 * time.Second}, slidingwindow.Limit{Name: "long", Max: 3, Window: time.Minute})
	take(t, l, "k", 1)
	take(t, l, "k", 1)
	d := reserve(t, l, "k", 1, forever)
	assert.Equal(t, 10*time.Second, d.Delay, "for the short limit")
	assert.Equal(t, []slidingwindow.Status{
		{Limit: l.Limits()[0], Granted: 1, Remaining: 0, ReplenishAfter: 10 * time.Second},
		{Limit: l.Limits()[1], Granted: 1, Remaining: 0, ReplenishAfter: time.Minute},
	}, naive.WithoutReceipts(d).Statuses())
	assert.Equal(t, time.Minute, reserve(t, l, "k", 1, forever).Delay, "for the long one")
	h.Advance(59 * time.Second)
	assert.Equal(t, 0, admitted(t, l, "k", 1))
}

// lineUsesTheWholeQuota has many stand in line at the same time, and some of them leave.
func lineUsesTheWholeQuota(t *testing.T, h Harness) {
	limit := slidingwindow.Limit{Max: 5, Window: time.Minute}
	l := h.limiter(t, limit)
	decisions := make([]slidingwindow.Decision, 60)
	var all sync.WaitGroup
	for i := range decisions {
		all.Go(func() {
			d, err := l.Reserve(t.Context(), "k", 1, forever)
			assert.NoError(t, err)
			if i%6 == 5 {
				assert.NoError(t, l.Refund(t.Context(), "k", d))
				d = slidingwindow.Decision{}
			}
			decisions[i] = d
		})
	}
	all.Wait()
	var hits []naive.Hit
	for _, d := range decisions {
		if d.Allowed {
			hits = append(hits, naive.Hit{At: d.Delay, Units: 1})
		}
	}
	require.Len(t, hits, 50)
	slices.SortFunc(hits, func(a, b naive.Hit) int { return int(a.At - b.At) })
	naive.CheckWindows(t, hits, limit)
	assert.LessOrEqual(t, hits[49].At, 11*time.Minute+60*h.Tick, "places that are given back cost no more than themselves")
}

func leavingTheLine(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(1))
	take(t, l, "k", 1)
	first, second := reserve(t, l, "k", 1, forever), reserve(t, l, "k", 1, forever)
	require.Equal(t, 2*time.Minute, second.Delay)
	require.NoError(t, l.Refund(t.Context(), "k", first))
	assert.Equal(t, 3*time.Minute, place(t, l, "k"), "nobody overtakes the second")
	require.NoError(t, l.Refund(t.Context(), "k", second))
	assert.Equal(t, time.Minute, place(t, l, "k"))
	require.NoError(t, l.Refund(t.Context(), "k", second))
	assert.Equal(t, time.Minute, place(t, l, "k"))
}

func cancelledWaiterLeaves(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(1), slidingwindow.PerHour(100))
	require.NoError(t, l.Wait(t.Context(), "k"), "at once")
	why := errors.New("the job was cancelled")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	go func() { result <- l.Wait(ctx, "k") }()
	require.Eventually(t, func() bool { return place(t, l, "k") == 2*time.Minute }, 10*time.Second, time.Millisecond)
	cancel(why)
	err := <-result
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorIs(t, err, why)
	assert.NotErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	assert.Equal(t, time.Minute, place(t, l, "k"), "its place was given back")

	_, err = l.Reserve(ctx, "k", 1, forever)
	assert.ErrorIs(t, err, why)
	assert.Equal(t, time.Minute, place(t, l, "k"), "it took none")
}

func waitTooLong(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.Limit{Name: "api", Max: 2, Window: time.Hour})
	take(t, l, "k", 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, l.Wait(ctx, "k"))
	err := l.Wait(ctx, "k")
	require.ErrorIs(t, err, slidingwindow.ErrWaitTooLong)
	var tooLong *slidingwindow.WaitError
	require.ErrorAs(t, err, &tooLong)
	assert.Equal(t, "api", tooLong.Limit)
	assert.Equal(t, time.Hour, tooLong.Place)
	assert.LessOrEqual(t, tooLong.Allowed, time.Minute)
	assert.Positive(t, tooLong.Allowed)
	assert.NotErrorIs(t, err, context.DeadlineExceeded)
	d, err := l.Reserve(ctx, "k", 1, forever)
	require.NoError(t, err)
	assert.False(t, d.Allowed, "the deadline bounds it as well")
	assert.Equal(t, time.Hour, place(t, l, "k"), "nothing was taken")
}

func badWaits(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(2))
	_, err := l.Reserve(t.Context(), "k", 1, -1)
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidWait)
	assert.ErrorContains(t, err, "maxWait is -1ns; allowed: 0s or more")
	for _, n := range []int64{0, -1} {
		_, err = l.Reserve(t.Context(), "k", n, 0)
		assert.ErrorIs(t, err, slidingwindow.ErrInvalidCost)
		assert.ErrorIs(t, l.WaitN(t.Context(), "k", n), slidingwindow.ErrInvalidCost)
	}
	_, err = l.Reserve(t.Context(), "k", 3, 0)
	assert.ErrorIs(t, err, slidingwindow.ErrCostExceedsLimit)
	assert.ErrorIs(t, l.WaitN(t.Context(), "k", 3), slidingwindow.ErrCostExceedsLimit)
	assert.ErrorIs(t, l.Wait(t.Context(), ""), slidingwindow.ErrInvalidKey)
	assert.EqualValues(t, 2, remaining(t, l, "k"), "nothing was taken")

	blocked := h.limiter(t, slidingwindow.Limit{Name: "blocked", Max: 0, Window: time.Minute}, slidingwindow.PerHour(5))
	d := reserve(t, blocked, "k", 1, forever)
	assert.False(t, d.Allowed)
	assert.Equal(t, time.Minute, d.RetryAfter)
	err = blocked.Wait(t.Context(), "k")
	assert.ErrorIs(t, err, slidingwindow.ErrCostExceedsLimit, "no wait helps")
	assert.ErrorContains(t, err, `1 units waited for of limit "blocked"; allowed: at most its Max of 0`)
}

func nobodyWaitsWhereNothingIsRefused(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(1))
	take(t, l, "k", 1)
	l.SetMode(slidingwindow.ModeShadow)
	d := reserve(t, l, "k", 1, forever)
	assert.True(t, d.Allowed)
	assert.Equal(t, slidingwindow.ReasonShadow, d.Reason)
	assert.Zero(t, d.Delay)
	assert.Equal(t, time.Minute, d.RetryAfter)
	assert.NoError(t, l.Wait(t.Context(), "k"))
	l.SetMode(slidingwindow.ModeEnforce)
	l.SetMode(slidingwindow.ModeOff)
	assert.NoError(t, l.Wait(t.Context(), "k"))
	l.SetMode(slidingwindow.ModeEnforce)
	assert.Equal(t, time.Minute, place(t, l, "k"))
}

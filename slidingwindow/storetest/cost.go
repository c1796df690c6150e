package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// The limits of a gateway to a language model.
var (
	requests = slidingwindow.Limit{Name: "requests", Max: 3, Window: time.Minute}
	tokens   = slidingwindow.Limit{Name: "tokens", Max: 100, Window: time.Hour}
)

func costPerLimit(t *testing.T, h Harness) {
	l := h.limiter(t, requests, tokens)
	allow := func(cost slidingwindow.Cost) slidingwindow.Decision {
		d, err := l.AllowCost(t.Context(), "k", cost)
		require.NoError(t, err)
		return d
	}
	d := allow(slidingwindow.Cost{"requests": 1, "tokens": 60})
	assert.True(t, d.Allowed)
	assert.Equal(t, requests, d.Limit)
	assert.EqualValues(t, 1, d.Granted, "of the binding limit")
	assert.Equal(t, []slidingwindow.Status{
		{Limit: requests, Granted: 1, Remaining: 2, ReplenishAfter: time.Minute},
		{Limit: tokens, Granted: 60, Remaining: 40, ReplenishAfter: time.Hour},
	}, naive.WithoutReceipts(d).Statuses())

	h.Advance(time.Second)
	refused := allow(slidingwindow.Cost{"requests": 1, "tokens": 41})
	assert.False(t, refused.Allowed)
	assert.Equal(t, tokens, refused.Limit)
	assert.Equal(t, time.Hour-time.Second, refused.RetryAfter)
	assert.Equal(t, []slidingwindow.Status{
		{Limit: requests, Remaining: 2, ReplenishAfter: 59 * time.Second},
		{Limit: tokens, Remaining: 40, RetryAfter: time.Hour - time.Second, ReplenishAfter: time.Hour - time.Second},
	}, refused.Statuses(), "it took from none")

	full := allow(slidingwindow.Cost{"tokens": 40})
	assert.True(t, full.Allowed)
	assert.Equal(t, tokens, full.Limit)
	for range 2 {
		d = allow(slidingwindow.Cost{"requests": 1})
		assert.True(t, d.Allowed, "a cost of 0 fits into a limit that is full")
		assert.Equal(t, requests, d.Limit, "and that does not bind")
	}
	assert.False(t, allow(slidingwindow.Cost{"requests": 1}).Allowed)

	require.NoError(t, l.Refund(t.Context(), "k", full))
	d, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 40, d.Statuses()[1].Remaining)
	assert.EqualValues(t, 0, d.Statuses()[0].Remaining)
}

func badCosts(t *testing.T, h Harness) {
	l := h.limiter(t, requests, tokens)
	for name, test := range map[string]struct {
		cost slidingwindow.Cost
		err  error
		text string
	}{
		"negative":  {slidingwindow.Cost{"requests": 1, "tokens": -5}, slidingwindow.ErrInvalidCost, `-5 units of limit "tokens"; allowed: 0 to 999999999999999`},
		"unknown":   {slidingwindow.Cost{"request": 1, "tokens": 5}, slidingwindow.ErrInvalidCost, `no limit is named "request"; allowed: "requests", "tokens"`},
		"above Max": {slidingwindow.Cost{"requests": 1, "tokens": 101}, slidingwindow.ErrCostExceedsLimit, `101 units asked of limit "tokens"; allowed: at most its Max of 100`},
		"zeros":     {slidingwindow.Cost{"requests": 0}, slidingwindow.ErrInvalidCost, `nothing is asked of any limit; allowed: 1 or more units of one of "requests", "tokens"`},
		"nil":       {nil, slidingwindow.ErrInvalidCost, `nothing is asked`},
	} {
		_, err := l.AllowCost(t.Context(), "k", test.cost)
		assert.ErrorIs(t, err, test.err, name)
		assert.ErrorContains(t, err, test.text, name)
	}
	for _, n := range []int64{0, -1} {
		_, err := l.AllowAtMost(t.Context(), "k", n)
		assert.ErrorIs(t, err, slidingwindow.ErrInvalidCost)
		_, err = l.PeekN(t.Context(), "k", n)
		assert.ErrorIs(t, err, slidingwindow.ErrInvalidCost)
	}
	_, err := l.PeekN(t.Context(), "k", 4)
	assert.ErrorIs(t, err, slidingwindow.ErrCostExceedsLimit)
	d, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 3, d.Statuses()[0].Remaining)
	assert.EqualValues(t, 100, d.Statuses()[1].Remaining, "nothing was taken")
}

func atMost(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.Limit{Name: "a", Max: 10, Window: time.Minute}, slidingwindow.Limit{Name: "b", Max: 7, Window: time.Hour})
	most := func(n int64) slidingwindow.Decision {
		d, err := l.AllowAtMost(t.Context(), "k", n)
		require.NoError(t, err)
		return d
	}
	assert.EqualValues(t, 4, most(4).Granted)
	h.Advance(time.Second)
	d := most(1 << 40)
	assert.True(t, d.Allowed)
	assert.EqualValues(t, 3, d.Granted, "what is left of b, also of a")
	assert.EqualValues(t, 3, d.Statuses()[0].Remaining)
	refused := most(5)
	assert.False(t, refused.Allowed)
	assert.Zero(t, refused.Granted)
	assert.Equal(t, time.Hour-time.Second, refused.RetryAfter, "until one unit fits")
	require.NoError(t, l.Refund(t.Context(), "k", d))
	assert.EqualValues(t, 2, most(2).Granted)
	assert.EqualValues(t, 1, most(2).Granted)

	blocked := h.limiter(t, slidingwindow.Limit{Name: "blocked", Max: 0, Window: time.Minute})
	d, err := blocked.AllowAtMost(t.Context(), "k", 3)
	require.NoError(t, err)
	assert.False(t, d.Allowed)
}

func concurrentAtMost(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(100))
	var granted atomic.Int64
	var all sync.WaitGroup
	for i := range int64(40) {
		all.Go(func() {
			if i%2 == 0 {
				d, err := l.AllowN(t.Context(), "k", 3)
				if assert.NoError(t, err) {
					granted.Add(d.Granted)
				}
				return
			}
			d, err := l.AllowAtMost(t.Context(), "k", 7)
			if assert.NoError(t, err) {
				granted.Add(d.Granted)
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 100, granted.Load(), "all of it, and no more")
}

func peekOfSeveral(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(5))
	take(t, l, "k", 2)
	h.Advance(time.Second)
	take(t, l, "k", 1)
	for n, wait := range map[int64]time.Duration{1: 0, 2: 0, 3: 59 * time.Second, 4: 59 * time.Second, 5: time.Minute} {
		d, err := l.PeekN(t.Context(), "k", n)
		require.NoError(t, err)
		assert.Equal(t, wait == 0, d.Allowed, "%d units", n)
		assert.Equal(t, wait, d.RetryAfter, "%d units", n)
		assert.Zero(t, d.Granted)
		assert.EqualValues(t, 2, d.Remaining)
	}
}

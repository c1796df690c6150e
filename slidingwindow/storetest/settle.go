package storetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func left(t testing.TB, l *slidingwindow.Limiter, key string) (left []int64) {
	t.Helper()
	d, err := l.Peek(t.Context(), key)
	require.NoError(t, err)
	for _, s := range d.Statuses() {
		left = append(left, s.Remaining)
	}
	return left
}

func estimate(t testing.TB, l *slidingwindow.Limiter, key string, cost slidingwindow.Cost) slidingwindow.Decision {
	t.Helper()
	d, err := l.AllowCost(t.Context(), key, cost)
	require.NoError(t, err)
	require.True(t, d.Allowed)
	return d
}

func settlePerLimit(t *testing.T, h Harness) {
	l := h.limiter(t, requests, tokens)
	first := estimate(t, l, "k", slidingwindow.Cost{"requests": 1, "tokens": 60})
	h.Advance(time.Second)
	second := estimate(t, l, "k", slidingwindow.Cost{"requests": 1, "tokens": 20})
	require.NoError(t, l.Settle(t.Context(), "k", first, slidingwindow.Cost{"tokens": 45}))
	assert.Equal(t, []int64{1, 35}, left(t, l, "k"), "what is not named stays")
	for _, n := range []int64{45, 0, 60, 99} {
		require.NoError(t, l.Settle(t.Context(), "k", first, slidingwindow.Cost{"tokens": n}))
		assert.Equal(t, []int64{1, 35}, left(t, l, "k"), "once")
	}
	require.NoError(t, l.Settle(t.Context(), "k", second, slidingwindow.Cost{"requests": 0, "tokens": 1}))
	assert.Equal(t, []int64{2, 54}, left(t, l, "k"))
	require.NoError(t, l.Refund(t.Context(), "k", second))
	assert.Equal(t, []int64{2, 54}, left(t, l, "k"), "what was settled is not refunded")

	third := estimate(t, l, "k", slidingwindow.Cost{"requests": 1, "tokens": 30})
	require.NoError(t, l.Settle(t.Context(), "k", third, slidingwindow.Cost{"requests": 0, "tokens": 0}))
	assert.Equal(t, []int64{2, 54}, left(t, l, "k"), "all is given back")
	require.NoError(t, l.Settle(t.Context(), "k", first, slidingwindow.Cost{"requests": 0}))
	assert.Equal(t, []int64{3, 54}, left(t, l, "k"), "a limit that was not settled yet")

	h.Advance(time.Hour - time.Second)
	assert.Equal(t, []int64{3, 99}, left(t, l, "k"), "what is settled leaves at its own time")
	h.Advance(time.Second)
	assert.Equal(t, []int64{3, 100}, left(t, l, "k"))
}

func settleAboveMax(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.Limit{Name: "tokens", Max: 100, Window: time.Minute})
	d := estimate(t, l, "k", slidingwindow.Cost{"tokens": 10})
	h.Advance(time.Second)
	small := take(t, l, "k", 5)
	require.NoError(t, l.Settle(t.Context(), "k", d, slidingwindow.Cost{"tokens": 300}))
	refused := take(t, l, "k", 1)
	assert.False(t, refused.Allowed, "later calls pay")
	assert.Zero(t, refused.Remaining)
	assert.Equal(t, 59*time.Second, refused.RetryAfter)
	assert.Equal(t, time.Minute, reserve(t, l, "k", 96, forever).Delay)
	require.NoError(t, l.Refund(t.Context(), "k", small))
	h.Advance(59*time.Second - time.Microsecond)
	assert.Equal(t, 0, admitted(t, l, "k", 1))
	h.Advance(time.Microsecond)
	assert.Equal(t, 4, admitted(t, l, "k", 5), "once: the window after it is as any other")
}

// settleAgain is what a decorator does that knows what a call has since it was settled.
func settleAgain(t *testing.T, h Harness) {
	l := h.limiter(t, requests, tokens)
	d := ask(t, h, slidingwindow.Request{Key: "k", Limits: l.Limits(), Costs: []int64{2, 60}})
	require.NoError(t, h.Store.Settle(t.Context(), "k", d, []int64{2, 45}))
	for _, more := range [][3]int64{{45, 30, 70}, {45, 10, 70}, {30, 80, 20}, {80, 0, 100}, {80, 7, 100}} {
		statuses := d.Statuses()
		statuses[1].Granted = more[0]
		anew := slidingwindow.NewDecision(0, statuses...)
		anew.Store = d.Store
		require.NoError(t, h.Store.Settle(t.Context(), "k", anew, []int64{2, more[1]}))
		assert.Equal(t, []int64{1, more[2]}, left(t, l, "k"), "%d are now %d", more[0], more[1])
	}
}

func settleOfWhatIsGone(t *testing.T, h Harness) {
	limit := slidingwindow.Limit{Name: "tokens", Max: 100, Window: time.Minute}
	l := h.limiter(t, limit)
	d := take(t, l, "k", 60)
	h.Advance(time.Minute)
	require.NoError(t, l.Settle(t.Context(), "k", d, slidingwindow.Cost{"tokens": 90}), "it has left the window, but not the log")
	assert.EqualValues(t, 100, remaining(t, l, "k"))
	require.Equal(t, 3, admitted(t, l, "k", 3))
	require.NoError(t, l.Settle(t.Context(), "k", d, slidingwindow.Cost{"tokens": 90}))
	assert.EqualValues(t, 97, remaining(t, l, "k"))

	d = take(t, l, "reset", 60)
	require.NoError(t, l.Reset(t.Context(), "reset"))
	require.NoError(t, l.Settle(t.Context(), "reset", d, slidingwindow.Cost{"tokens": 90}))
	assert.EqualValues(t, 100, remaining(t, l, "reset"))

	for _, d := range []slidingwindow.Decision{{}, take(t, l, "refused", 100), take(t, l, "refused", 1)} {
		if !d.Allowed {
			require.NoError(t, l.Settle(t.Context(), "refused", d, slidingwindow.Cost{"tokens": 50}))
		}
	}
	assert.Zero(t, remaining(t, l, "refused"), "a call that took nothing has nothing to settle")
}

func badSettles(t *testing.T, h Harness) {
	l := h.limiter(t, requests, tokens)
	d := estimate(t, l, "k", slidingwindow.Cost{"tokens": 10})
	for name, test := range map[string]struct {
		key  string
		cost slidingwindow.Cost
		err  error
		text string
	}{
		"negative":    {"k", slidingwindow.Cost{"tokens": -1}, slidingwindow.ErrInvalidCost, `-1 units of limit "tokens"; allowed: 0 to 999999999999999`},
		"unknown":     {"k", slidingwindow.Cost{"token": 5}, slidingwindow.ErrInvalidCost, `no limit is named "token"; allowed: "requests", "tokens"`},
		"not taken":   {"k", slidingwindow.Cost{"requests": 1}, slidingwindow.ErrInvalidCost, `1 units of limit "requests"; allowed: 0, as the call took none of it`},
		"another key": {"other", slidingwindow.Cost{"tokens": 5}, slidingwindow.ErrInvalidKey, `it is not the key that the units were taken from`},
		"no key":      {"", slidingwindow.Cost{"tokens": 5}, slidingwindow.ErrInvalidKey, `it is empty`},
	} {
		err := l.Settle(t.Context(), test.key, d, test.cost)
		assert.ErrorIs(t, err, test.err, name)
		assert.ErrorContains(t, err, test.text, name)
	}
	changed := d
	changed.Granted++
	assert.ErrorIs(t, l.Settle(t.Context(), "k", changed, slidingwindow.Cost{"tokens": 5}), slidingwindow.ErrDecisionChanged)
	for _, cost := range []slidingwindow.Cost{{"tokens": -1}, {"token": 1}, {"tokens": 1e15}} {
		assert.ErrorIs(t, l.Charge(t.Context(), "k", cost), slidingwindow.ErrInvalidCost)
	}
	assert.ErrorIs(t, l.Charge(t.Context(), "", slidingwindow.Cost{"tokens": 5}), slidingwindow.ErrInvalidKey)
	require.NoError(t, l.Charge(t.Context(), "k", slidingwindow.Cost{"tokens": 0}))
	assert.Equal(t, []int64{3, 90}, left(t, l, "k"), "nothing has changed")
}

// settleAfterTheClientLeft has a context that ended, as that of a request whose client hung up.
func settleAfterTheClientLeft(t *testing.T, h Harness) {
	l := h.limiter(t, requests, tokens)
	d := estimate(t, l, "k", slidingwindow.Cost{"requests": 1, "tokens": 50})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, l.Settle(ended, "k", d, slidingwindow.Cost{"tokens": 7}))
	require.NoError(t, l.Charge(ended, "k", slidingwindow.Cost{"tokens": 3}))
	assert.Equal(t, []int64{2, 90}, left(t, l, "k"))
}

func chargeMayPassMax(t *testing.T, h Harness) {
	l := h.limiter(t, requests, tokens)
	require.NoError(t, l.Charge(t.Context(), "k", slidingwindow.Cost{"tokens": 250}), "it refuses nothing")
	assert.Equal(t, []int64{3, 0}, left(t, l, "k"))
	d, err := l.AllowCost(t.Context(), "k", slidingwindow.Cost{"requests": 1, "tokens": 1})
	require.NoError(t, err)
	assert.False(t, d.Allowed, "later calls pay")
	assert.Equal(t, time.Hour, d.RetryAfter)
	require.NoError(t, l.Charge(t.Context(), "k", slidingwindow.Cost{"requests": 4, "tokens": 1}))
	assert.Equal(t, []int64{0, 0}, left(t, l, "k"))
	estimateNothing, err := l.AllowCost(t.Context(), "k", slidingwindow.Cost{"tokens": 1})
	require.NoError(t, err)
	assert.False(t, estimateNothing.Allowed)
	h.Advance(time.Hour)
	assert.Equal(t, []int64{3, 100}, left(t, l, "k"))

	l.SetMode(slidingwindow.ModeOff)
	require.NoError(t, l.Charge(t.Context(), "k", slidingwindow.Cost{"tokens": 5}))
	l.SetMode(slidingwindow.ModeEnforce)
	assert.Equal(t, []int64{3, 100}, left(t, l, "k"), "what is off counts nothing")
}

// orphanOfABudget takes 1 unit of the limit with the long window, as Settle's documentation says.
func orphanOfABudget(t *testing.T, h Harness) {
	day := slidingwindow.Limit{Name: "day", Max: 1000, Window: 24 * time.Hour}
	minute := slidingwindow.Limit{Name: "minute", Max: 100, Window: time.Minute}
	l := h.limiter(t, minute, day)
	estimate(t, l, "k", slidingwindow.Cost{"minute": 90, "day": 1}) // by a process that then dies
	assert.Equal(t, []int64{10, 999}, left(t, l, "k"))
	h.Advance(time.Minute)
	assert.Equal(t, []int64{100, 999}, left(t, l, "k"), "one unit stays of it")
	d := estimate(t, l, "k", slidingwindow.Cost{"minute": 90, "day": 1})
	require.NoError(t, l.Settle(t.Context(), "k", d, slidingwindow.Cost{"minute": 70, "day": 70}))
	assert.Equal(t, []int64{30, 929}, left(t, l, "k"))

	// The price: the day can pass its Max by what the calls use that are under way.
	require.NoError(t, l.Charge(t.Context(), "k", slidingwindow.Cost{"day": 927}))
	underWay := []slidingwindow.Decision{
		estimate(t, l, "k", slidingwindow.Cost{"minute": 15, "day": 1}),
		estimate(t, l, "k", slidingwindow.Cost{"minute": 15, "day": 1}),
	}
	for _, d := range underWay {
		require.NoError(t, l.Settle(t.Context(), "k", d, slidingwindow.Cost{"day": 15}))
		refused, err := l.AllowCost(t.Context(), "k", slidingwindow.Cost{"day": 1})
		require.NoError(t, err)
		assert.False(t, refused.Allowed)
	}
	d, err := l.AllowCost(t.Context(), "k", slidingwindow.Cost{"minute": 1})
	require.NoError(t, err)
	assert.False(t, d.Allowed, "and what is under way fits into the minute")
}

func concurrentSettles(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.Limit{Name: "tokens", Max: 1000, Window: time.Minute})
	calls := make([]slidingwindow.Decision, 40)
	for i := range calls {
		calls[i] = take(t, l, "k", 10)
	}
	var all sync.WaitGroup
	for range 3 {
		for _, d := range calls {
			all.Go(func() { assert.NoError(t, l.Settle(t.Context(), "k", d, slidingwindow.Cost{"tokens": 4})) })
		}
	}
	all.Wait()
	assert.EqualValues(t, 1000-40*4, remaining(t, l, "k"))
}

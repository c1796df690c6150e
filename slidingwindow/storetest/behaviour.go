package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func decisionFields(t *testing.T, h Harness) {
	minute, hour := slidingwindow.PerMinute(3), slidingwindow.PerHour(10)
	l := h.limiter(t, minute, hour)

	d := take(t, l, "k", 2)
	assert.True(t, d.Allowed)
	assert.EqualValues(t, 2, d.Granted)
	assert.Equal(t, []slidingwindow.Status{
		{Limit: minute, Granted: 2, Remaining: 1, ReplenishAfter: time.Minute},
		{Limit: hour, Granted: 2, Remaining: 8, ReplenishAfter: time.Hour},
	}, naive.WithoutReceipts(d).Statuses())
	assert.Equal(t, slidingwindow.ReasonAllowed, d.Reason)
	assert.Equal(t, minute, d.Limit, "the limit with the least left binds")
	assert.EqualValues(t, 1, d.Remaining)
	assert.Equal(t, time.Minute, d.ReplenishAfter)

	h.Advance(20 * time.Second)
	d = take(t, l, "k", 2)
	assert.False(t, d.Allowed)
	assert.Equal(t, slidingwindow.ReasonRefused, d.Reason)
	assert.Zero(t, d.Granted)
	assert.Equal(t, minute, d.Limit)
	assert.EqualValues(t, 1, d.Remaining, "a refusal of two can leave one")
	assert.Equal(t, 40*time.Second, d.RetryAfter)
	assert.Equal(t, []slidingwindow.Status{
		{Limit: minute, Remaining: 1, RetryAfter: 40 * time.Second, ReplenishAfter: 40 * time.Second},
		{Limit: hour, Remaining: 8, ReplenishAfter: time.Hour - 20*time.Second},
	}, d.Statuses())
}

func peekTakesNothing(t *testing.T, h Harness) {
	limit := slidingwindow.PerMinute(2)
	l := h.limiter(t, limit)
	peek := func() slidingwindow.Decision {
		d, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
		return d
	}
	unused := slidingwindow.Decision{Allowed: true, Reason: slidingwindow.ReasonAllowed, Limit: limit, Remaining: 2}
	assert.Equal(t, unused, peek())
	assert.Equal(t, unused, peek())
	require.Equal(t, 1, admitted(t, l, "k", 1))
	h.Advance(time.Second)
	assert.Equal(t, slidingwindow.Decision{Allowed: true, Reason: slidingwindow.ReasonAllowed, Limit: limit, Remaining: 1, ReplenishAfter: 59 * time.Second}, peek())
	require.Equal(t, 1, admitted(t, l, "k", 1))
	for range 3 {
		assert.Equal(t, slidingwindow.Decision{Reason: slidingwindow.ReasonRefused, Limit: limit, RetryAfter: 59 * time.Second, ReplenishAfter: 59 * time.Second}, peek())
	}
	h.Advance(59 * time.Second)
	assert.Equal(t, 1, admitted(t, l, "k", 2))
}

func resetForgets(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(1), slidingwindow.PerHour(1))
	require.NoError(t, l.Reset(t.Context(), "unknown"))
	require.Equal(t, 1, admitted(t, l, "k", 2))
	require.Equal(t, 1, admitted(t, l, "other", 2))
	require.NoError(t, l.Reset(t.Context(), "k"))
	assert.Equal(t, 1, admitted(t, l, "k", 2))
	assert.Equal(t, 0, admitted(t, l, "other", 2))
	assert.ErrorIs(t, l.Reset(t.Context(), ""), slidingwindow.ErrInvalidKey)
}

// costsOfManySizes mixes calls of one unit, which logs keep in a form of their own,
// with others, and lets each kind leave the window first.
func costsOfManySizes(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(1_000_000))
	for _, costs := range [][]int64{
		{1, 1, 999_998}, {999_998, 1, 1}, {1, 999_998, 1}, {500_000, 500_000}, {2, 1, 2, 1, 2, 999_992},
	} {
		var used int64
		for _, n := range costs {
			d := take(t, l, "k", n)
			require.True(t, d.Allowed)
			used += n
			require.Equal(t, 1_000_000-used, d.Remaining)
			h.Advance(time.Second)
		}
		require.False(t, take(t, l, "k", 1).Allowed)
		h.Advance(time.Minute - time.Duration(len(costs))*time.Second)
		for _, n := range costs {
			d, err := l.Peek(t.Context(), "k")
			require.NoError(t, err)
			used -= n
			require.Equal(t, 1_000_000-used, d.Remaining, "after the hit of %d has left", n)
			h.Advance(time.Second)
		}
	}
}

func maxZeroRefusesAll(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.Limit{Name: "blocked", Max: 0, Window: time.Minute}, slidingwindow.PerMinute(5))
	for range 3 {
		d := take(t, l, "k", 1)
		assert.False(t, d.Allowed)
		assert.Equal(t, "blocked", d.Limit.Name)
		assert.Equal(t, time.Minute, d.RetryAfter)
		assert.Zero(t, d.Remaining)
		assert.EqualValues(t, 5, d.Statuses()[1].Remaining)
	}
}

func logSurvivesLimitChange(t *testing.T, h Harness) {
	with := func(max int64, window time.Duration) *slidingwindow.Limiter {
		return h.limiter(t, slidingwindow.Limit{Name: "api", Max: max, Window: window})
	}
	for range 4 {
		require.Equal(t, 1, admitted(t, with(4, time.Minute), "k", 1))
		h.Advance(10 * time.Second)
	}
	// Now 40s after the first hit, 10s after the fourth.
	assert.Equal(t, 0, admitted(t, with(4, time.Minute), "k", 1))

	lower, err := with(2, time.Minute).AllowN(t.Context(), "k", 1)
	require.NoError(t, err)
	assert.False(t, lower.Allowed, "a lower Max counts the hits that were there")
	assert.Zero(t, lower.Remaining)
	assert.Equal(t, 40*time.Second, lower.RetryAfter, "until three of the four have left")

	shorter, err := with(4, 25*time.Second).Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 2, shorter.Remaining, "a shorter Window counts the last 25s only")

	assert.Equal(t, 2, admitted(t, with(6, time.Minute), "k", 9), "a higher Max adds room")

	h.Advance(50 * time.Second)
	longer, err := with(6, time.Hour).Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 0, longer.Remaining, "a longer Window counts what is still logged")

	if h.Keeps {
		return
	}
	// As during a deployment: the shorter Window makes the log forget.
	assert.Equal(t, 1, admitted(t, with(9, 5*time.Second), "deployed", 1))
	h.Advance(5 * time.Second)
	assert.Equal(t, 1, admitted(t, with(9, 5*time.Second), "deployed", 1))
	deployed, err := with(9, time.Minute).Peek(t.Context(), "deployed")
	require.NoError(t, err)
	assert.EqualValues(t, 8, deployed.Remaining)
}

func keysAreIndependent(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(1))
	long := strings.Repeat("k", 128)
	for _, key := range []string{
		"k", "K", " k", "k ", "{k}", "}k{", "{", "}", "{}", "%7B", "%", "%25", ":", "a:b", "a}:b{c",
		"\x00", "\n", "\r\n", "\x7f", "\xff\xfe", "ключ", "鍵", "10.0.0.1", "2001:db8::/56",
		long, long + "k", long + "kk", strings.Repeat("k", 1<<20), strings.Repeat("k", 1<<20) + "x",
	} {
		assert.Equal(t, 1, admitted(t, l, key, 2), "key %.40q", key)
	}
}

func limitNamesAreIndependent(t *testing.T, h Harness) {
	for _, name := range []string{"a", "A", "a b", "a:b", "{a}", "}", `"`, `\`, "%7B", "~"} {
		l := h.limiter(t, slidingwindow.Limit{Name: name, Max: 1, Window: time.Minute})
		for _, key := range []string{"k", "k}:a", "k}:{k"} {
			assert.Equal(t, 1, admitted(t, l, key, 2), "limit %q, key %q", name, key)
		}
	}
}

func limitersOfOneNameShareTheLog(t *testing.T, h Harness) {
	one := h.limiter(t, slidingwindow.Limit{Name: "shared", Max: 3, Window: time.Minute})
	two := h.limiter(t, slidingwindow.Limit{Name: "shared", Max: 3, Window: time.Minute}, slidingwindow.PerHour(100))
	require.Equal(t, 1, admitted(t, one, "k", 1))
	assert.Equal(t, 2, admitted(t, two, "k", 5))
	assert.Equal(t, 0, admitted(t, one, "k", 5))
}

func endedContextTakesNothing(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(1))
	why := errors.New("the client went away")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err := l.Allow(ended, "k")
	assert.ErrorIs(t, err, why)
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	_, err = l.Peek(ended, "k")
	assert.ErrorIs(t, err, why)
	assert.ErrorIs(t, l.Reset(ended, "k"), why)
	assert.Equal(t, 1, admitted(t, l, "k", 2))
}

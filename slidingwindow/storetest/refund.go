package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func remaining(t testing.TB, l *slidingwindow.Limiter, key string) int64 {
	t.Helper()
	d, err := l.Peek(t.Context(), key)
	require.NoError(t, err)
	return d.Remaining
}

func refundGivesBackOnce(t *testing.T, h Harness) {
	minute, hour := slidingwindow.PerMinute(10), slidingwindow.PerHour(30)
	l := h.limiter(t, minute, hour)
	left := func() (left [2]int64) {
		d, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
		return [2]int64{d.Statuses()[0].Remaining, d.Statuses()[1].Remaining}
	}
	for _, gap := range []time.Duration{0, time.Microsecond, 5 * time.Second} {
		require.NoError(t, l.Reset(t.Context(), "k"))
		h.Advance(time.Second)
		one := take(t, l, "k", 1)
		h.Advance(gap)
		six := take(t, l, "k", 6)
		h.Advance(gap)
		two := take(t, l, "k", 2)
		require.Equal(t, [2]int64{1, 21}, left())

		for range 3 {
			require.NoError(t, l.Refund(t.Context(), "k", six))
			assert.Equal(t, [2]int64{7, 27}, left(), "gap %v", gap)
		}
		h.Advance(gap)
		for range 3 {
			require.NoError(t, l.Refund(t.Context(), "k", one))
			require.NoError(t, l.Refund(t.Context(), "k", two))
			assert.Equal(t, [2]int64{10, 30}, left(), "gap %v", gap)
		}
		assert.Equal(t, 10, admitted(t, l, "k", 12), "all of it can be used again")
		d := take(t, l, "k", 1)
		assert.Equal(t, minute, d.Limit)
		assert.Equal(t, time.Minute, d.RetryAfter, "a refunded hit delays nobody")
	}
}

// refundIsOfOneCall refunds, again and again, calls that were made before others of the same
// cost: no later call may be taken for one before.
func refundIsOfOneCall(t *testing.T, h Harness) {
	for name, step := range map[string]time.Duration{"by 20 microseconds": 20 * time.Microsecond, "by a second": time.Second} {
		for _, costs := range [][3]int64{{1, 1, 1}, {2, 1, 1}, {1, 3, 3}, {2, 3, 3}, {1, 1, 3}, {3, 3, 1}} {
			l := h.limiter(t, slidingwindow.Limit{Name: name, Max: 100, Window: time.Hour})
			key := fmt.Sprint(costs)
			var refunded []slidingwindow.Decision
			var left int64 = 100
			check := func(want int64, when string) {
				t.Helper()
				for _, d := range refunded {
					require.NoError(t, l.Refund(t.Context(), key, d))
				}
				left = want
				require.Equal(t, left, remaining(t, l, key), "clock %s, costs %v, %s", name, costs, when)
			}
			older := take(t, l, key, costs[0])
			check(left-costs[0], "older call")
			for range 8 {
				d := take(t, l, key, costs[1])
				check(left-costs[1], "call to be refunded")
				h.Advance(step)
				refunded = append(refunded, d)
				check(left+costs[1], "refunded")
				take(t, l, key, costs[2])
				check(left-costs[2], "call that stays")
			}
			h.Advance(step)
			refunded = append(refunded, older)
			check(left+costs[0], "older call refunded")
			for range 3 {
				take(t, l, key, costs[1])
				check(left-costs[1], "call after that")
			}
		}
	}
}

func refundOfWhatIsGone(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(2))
	gone := take(t, l, "k", 2)
	refused := take(t, l, "k", 1)
	require.False(t, refused.Allowed)
	require.NoError(t, l.Refund(t.Context(), "k", refused))
	require.NoError(t, l.Refund(t.Context(), "k", slidingwindow.Decision{}))
	peeked, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	require.NoError(t, l.Refund(t.Context(), "k", peeked))
	assert.Zero(t, remaining(t, l, "k"))

	h.Advance(time.Minute)
	require.NoError(t, l.Refund(t.Context(), "k", gone), "it has left the window, but not the log")
	assert.EqualValues(t, 2, remaining(t, l, "k"))
	require.Equal(t, 2, admitted(t, l, "k", 3))
	require.NoError(t, l.Refund(t.Context(), "k", gone))
	assert.Zero(t, remaining(t, l, "k"))

	reset := take(t, l, "reset", 2)
	require.NoError(t, l.Reset(t.Context(), "reset"))
	require.NoError(t, l.Refund(t.Context(), "reset", reset))
	h.Advance(time.Microsecond)
	require.Equal(t, 2, admitted(t, l, "reset", 3))
	require.NoError(t, l.Refund(t.Context(), "reset", reset))
	assert.Zero(t, remaining(t, l, "reset"))
}

func refundOfAnotherKey(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(5))
	mine, yours := take(t, l, "mine", 2), take(t, l, "yours", 2)
	assert.ErrorIs(t, l.Refund(t.Context(), "yours", mine), slidingwindow.ErrInvalidKey)
	assert.ErrorIs(t, l.Refund(t.Context(), "", mine), slidingwindow.ErrInvalidKey)
	assert.EqualValues(t, 3, remaining(t, l, "yours"))
	assert.EqualValues(t, 3, remaining(t, l, "mine"))

	other := h.limiter(t, slidingwindow.PerHour(9))
	require.NoError(t, other.Refund(t.Context(), "yours", yours), "any limiter over the store can")
	assert.EqualValues(t, 5, remaining(t, l, "yours"))
	assert.EqualValues(t, 9, remaining(t, other, "yours"))
}

func refundOfAnEndedContext(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(2))
	d := take(t, l, "k", 1)
	why := errors.New("the client went away")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	require.NoError(t, l.Refund(ended, "k", d), "a client that has gone away is no reason to keep it")
	assert.EqualValues(t, 2, remaining(t, l, "k"))
}

func concurrentRefunds(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(100))
	calls := make([]slidingwindow.Decision, 40)
	for i := range calls {
		calls[i] = take(t, l, "k", 2)
	}
	var wg sync.WaitGroup
	for range 4 {
		for _, d := range calls[:30] {
			wg.Go(func() { assert.NoError(t, l.Refund(t.Context(), "k", d)) })
		}
	}
	wg.Wait()
	assert.EqualValues(t, 80, remaining(t, l, "k"))
}

// refundOpensTheKey is what a login that counts failures only relies on.
func refundOpensTheKey(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(3))
	first := take(t, l, "k", 1)
	h.Advance(time.Second)
	require.Equal(t, 2, admitted(t, l, "k", 5))
	require.NoError(t, l.Refund(t.Context(), "k", first))
	d, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.True(t, d.Allowed)
	assert.Equal(t, time.Minute, d.ReplenishAfter, "the oldest counted hit is now the second")
	for range 100 {
		h.Advance(time.Millisecond)
		d := take(t, l, "k", 1)
		require.True(t, d.Allowed)
		require.NoError(t, l.Refund(t.Context(), "k", d))
	}
	assert.Equal(t, 1, admitted(t, l, "k", 3))
}

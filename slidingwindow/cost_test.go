package slidingwindow_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func TestClampCutsACostToEachMax(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, memory.New(),
		slidingwindow.Limit{Name: "requests", Max: 3, Window: time.Minute},
		slidingwindow.Limit{Name: "tokens", Max: 100, Window: time.Minute},
		slidingwindow.Limit{Name: "blocked", Max: 0, Window: time.Minute})
	for name, test := range map[string]struct{ given, want slidingwindow.Cost }{
		"fits":      {slidingwindow.Cost{"requests": 3, "tokens": 100}, slidingwindow.Cost{"requests": 3, "tokens": 100}},
		"above Max": {slidingwindow.Cost{"requests": 4, "tokens": 1 << 60}, slidingwindow.Cost{"requests": 3, "tokens": 100}},
		"one of":    {slidingwindow.Cost{"tokens": 101}, slidingwindow.Cost{"tokens": 100}},
		"mistakes":  {slidingwindow.Cost{"token": 101, "requests": -1}, slidingwindow.Cost{"token": 101, "requests": -1}},
		"blocked":   {slidingwindow.Cost{"blocked": 5}, slidingwindow.Cost{"blocked": 5}},
		"nil":       {nil, nil},
	} {
		given := slidingwindow.Cost{}
		for limit, n := range test.given {
			given[limit] = n
		}
		assert.Equal(t, test.want, l.Clamp(test.given), name)
		for limit, n := range given {
			assert.Equal(t, n, test.given[limit], "%s: the cost that was given stays", name)
		}
	}
	_, err := l.AllowCost(t.Context(), "k", l.Clamp(slidingwindow.Cost{"token": 101}))
	require.ErrorIs(t, err, slidingwindow.ErrInvalidCost, "a mistake is still found")
	d, err := l.AllowCost(t.Context(), "k", l.Clamp(slidingwindow.Cost{"blocked": 5}))
	require.NoError(t, err)
	require.False(t, d.Allowed, "no cost is let through a Max of 0")
	var zero slidingwindow.Limiter
	assert.Equal(t, slidingwindow.Cost{"a": 1}, zero.Clamp(slidingwindow.Cost{"a": 1}))
}

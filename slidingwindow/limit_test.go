package slidingwindow_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func TestDefaultNames(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]slidingwindow.Limit{
		"10-per-1s":      slidingwindow.PerSecond(10),
		"100-per-1m":     slidingwindow.PerMinute(100),
		"1000-per-1h":    slidingwindow.PerHour(1000),
		"5-per-24h":      slidingwindow.PerDay(5),
		"100-per-15m":    {Max: 100, Window: 15 * time.Minute},
		"1-per-1m30s":    {Max: 1, Window: 90 * time.Second},
		"1-per-1h30m":    {Max: 1, Window: 90 * time.Minute},
		"1-per-10h":      {Max: 1, Window: 10 * time.Hour},
		"1-per-1h0m1s":   {Max: 1, Window: time.Hour + time.Second},
		"0-per-1.5ms":    {Max: 0, Window: 1500 * time.Microsecond},
		"7-per-10s":      {Max: 7, Window: 10 * time.Second},
		"1-per-87600h":   {Max: 1, Window: 10 * 365 * 24 * time.Hour},
		"1-per-1.00001s": {Max: 1, Window: time.Second + 10*time.Microsecond},
	} {
		l := newLimiter(t, newMemoryStore(t, memory.Config{}), limit)
		assert.Equal(t, name, l.Limits()[0].Name)
	}
}

func TestValidLimits(t *testing.T) {
	t.Parallel()
	for _, limit := range []slidingwindow.Limit{
		{Max: 0, Window: time.Millisecond},
		{Max: 999_999_999_999_999, Window: 10 * 365 * 24 * time.Hour},
		{Name: strings.Repeat("~", 64), Max: 1, Window: time.Second},
		{Name: ` a"\{}:`, Max: 1, Window: time.Second},
		{Max: 1, Window: time.Hour, Resolution: time.Minute},
		{Max: 1, Window: time.Hour, Resolution: time.Hour},
		{Max: 1, Window: time.Second, Resolution: time.Millisecond},
		{Max: 1, Window: 12500 * time.Microsecond, Resolution: 1250 * time.Microsecond},
	} {
		assert.NoError(t, limit.Validate())
	}
}

func TestInvalidLimitsAreToldByField(t *testing.T) {
	t.Parallel()
	const second = time.Second
	for _, test := range []struct {
		limit slidingwindow.Limit
		want  []string
	}{
		{slidingwindow.PerMinute(-1), []string{`Max of "-1-per-1m" is -1; allowed: 0 to 999999999999999 units`}},
		{slidingwindow.PerSecond(math.MaxInt64), []string{`Max of "9223372036854775807-per-1s" is 9223372036854775807; allowed: 0 to`}},
		{slidingwindow.PerSecond(math.MinInt64), []string{`is -9223372036854775808; allowed: 0 to`}},
		{slidingwindow.Limit{Name: "x", Max: 1_000_000_000_000_000, Window: second}, []string{`Max of "x" is 1000000000000000; allowed:`}},
		{slidingwindow.Limit{Name: "x", Max: 1}, []string{`Window of "x" is 0s; allowed: 1ms to 87600h`}},
		{slidingwindow.Limit{Name: "x", Max: 1, Window: -second}, []string{`Window of "x" is -1s; allowed: 1ms to 87600h`}},
		{slidingwindow.Limit{Name: "x", Max: 1, Window: time.Millisecond - 1}, []string{`is 999.999µs; allowed: 1ms`}},
		{slidingwindow.Limit{Name: "x", Max: 1, Window: math.MaxInt64}, []string{`allowed: 1ms to 87600h`}},
		{slidingwindow.Limit{Name: "x", Max: 1, Window: second + 1}, []string{`Window of "x" is 1.000000001s; allowed: whole microseconds`}},
		{slidingwindow.Limit{Name: "a\nb", Max: 1, Window: second}, []string{`Name of "a\nb" is "a\nb"; allowed: printable ASCII characters`}},
		{slidingwindow.Limit{Name: "ключ", Max: 1, Window: second}, []string{`allowed: printable ASCII characters`}},
		{slidingwindow.Limit{Name: strings.Repeat("n", 65), Max: 1, Window: second}, []string{`is 65 bytes; allowed: at most 64 bytes`}},
		{slidingwindow.Limit{}, []string{`Window of "0-per-0s" is 0s`}},
		{slidingwindow.Limit{Name: "x", Max: 1, Window: second, Resolution: second + 1000}, []string{`Resolution of "x" is 1.000001s; allowed: 0s, or 1ms to the Window of 1s`}},
		{slidingwindow.Limit{Name: "x", Max: 1, Window: second, Resolution: -1}, []string{`Resolution of "x" is -1ns; allowed: 0s, or 1ms to`}},
		{slidingwindow.Limit{Name: "x", Max: 1, Window: second, Resolution: time.Millisecond - 1000}, []string{`Resolution of "x" is 999µs; allowed: 0s, or 1ms to`}},
		{slidingwindow.Limit{Name: "x", Max: 1, Window: second, Resolution: time.Millisecond + 1}, []string{`Resolution of "x" is 1.000001ms; allowed: whole microseconds`}},
		{slidingwindow.Limit{Name: "x", Max: 1, Window: 10 * second, Resolution: 3 * second}, []string{`Resolution of "x" is 3s; allowed: a duration that the Window of 10s is a multiple of`}},
		{slidingwindow.Limit{Name: "\x00", Max: -5, Window: -5}, []string{"Name", "Max", "Window"}},
	} {
		err := test.limit.Validate()
		require.ErrorIs(t, err, slidingwindow.ErrInvalidLimit)
		for _, want := range test.want {
			assert.ErrorContains(t, err, want)
		}
		var limitErr *slidingwindow.LimitError
		require.ErrorAs(t, err, &limitErr)
		assert.Contains(t, []string{"Name", "Max", "Window", "Resolution"}, limitErr.Field)

		_, newErr := slidingwindow.New(newMemoryStore(t, memory.Config{}), slidingwindow.PerMinute(1), test.limit)
		assert.EqualError(t, newErr, err.Error(), "New says the same")
	}
}

func TestNewIsChecked(t *testing.T) {
	t.Parallel()
	store := newMemoryStore(t, memory.Config{})

	_, err := slidingwindow.New(nil, slidingwindow.PerMinute(1))
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
	assert.ErrorContains(t, err, "store is nil")

	for _, none := range []slidingwindow.Store{(*slidingwindow.RedisStore)(nil), (*memory.Store)(nil)} {
		_, err = slidingwindow.New(none, slidingwindow.PerMinute(1))
		assert.ErrorIs(t, err, slidingwindow.ErrInvalidConfig, "a nil pointer is no store")
	}

	_, err = slidingwindow.New(store)
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidLimit)
	assert.ErrorContains(t, err, "one or more")

	_, err = slidingwindow.New(store, slidingwindow.PerMinute(1), slidingwindow.PerHour(1), slidingwindow.Limit{Name: "1-per-1m", Max: 9, Window: time.Hour})
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidLimit)
	assert.ErrorContains(t, err, `limits 0 and 2 are both named "1-per-1m"`)

	_, err = slidingwindow.New(store, slidingwindow.PerMinute(-1), slidingwindow.PerHour(-2))
	for _, want := range []string{"-1", "-2"} {
		assert.ErrorContains(t, err, want, "all faults at once")
	}
}

func TestLimitsAreTheLimitersOwn(t *testing.T) {
	t.Parallel()
	given := []slidingwindow.Limit{slidingwindow.PerMinute(1)}
	l := newLimiter(t, newMemoryStore(t, memory.Config{}), given...)
	given[0].Max = 100
	l.Limits()[0].Max = 100
	assert.True(t, allow(t, l, "k"))
	assert.False(t, allow(t, l, "k"))
}

func TestCallsAreChecked(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, newMemoryStore(t, memory.Config{}),
		slidingwindow.PerMinute(5), slidingwindow.PerHour(9), slidingwindow.Limit{Name: "blocked", Window: time.Second})
	for _, n := range []int64{0, -1, math.MinInt64} {
		_, err := l.AllowN(t.Context(), "k", n)
		assert.ErrorIs(t, err, slidingwindow.ErrInvalidCost)
	}
	for _, n := range []int64{6, 10, math.MaxInt64} {
		_, err := l.AllowN(t.Context(), "k", n)
		assert.ErrorIs(t, err, slidingwindow.ErrCostExceedsLimit)
		assert.ErrorContains(t, err, `limit "5-per-1m"; allowed: at most its Max of 5`)
	}
	_, err := l.AllowN(t.Context(), "", 1)
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidKey)
	_, err = l.Peek(t.Context(), "")
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidKey)
	for _, err := range []error{slidingwindow.ErrInvalidLimit, slidingwindow.ErrInvalidConfig, slidingwindow.ErrInvalidKey,
		slidingwindow.ErrInvalidCost, slidingwindow.ErrCostExceedsLimit, slidingwindow.ErrStoreUnavailable, slidingwindow.ErrForeignData} {
		assert.True(t, strings.HasPrefix(err.Error(), "slidingwindow: "), err)
		assert.Nil(t, errors.Unwrap(err))
	}
}

func TestLimiterThatWasNotMadeWithNewDecidesNothing(t *testing.T) {
	t.Parallel()
	var l slidingwindow.Limiter
	_, err := l.Allow(t.Context(), "k")
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
	_, err = l.Peek(t.Context(), "k")
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
	assert.ErrorIs(t, l.Reset(t.Context(), "k"), slidingwindow.ErrInvalidConfig)
	_, err = l.WithLimits(slidingwindow.PerMinute(1))
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
	assert.Equal(t, slidingwindow.ModeEnforce, l.Mode())
	assert.Equal(t, slidingwindow.ModeEnforce, l.Mode())
	l.SetMode(slidingwindow.ModeOff)
	l.SetMode(slidingwindow.ModeShadow)
	assert.Empty(t, l.Limits())
}

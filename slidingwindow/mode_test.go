package slidingwindow_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func TestDisabledLimiterAllowsAndAsksNobody(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	l, _ := newRedisLimiter(t, client, slidingwindow.PerMinute(1), slidingwindow.PerHour(5))
	require.Equal(t, slidingwindow.ModeEnforce, l.Mode())
	require.True(t, allow(t, l, "k"))
	require.False(t, allow(t, l, "k"))

	l.SetMode(slidingwindow.ModeOff)
	assert.Equal(t, slidingwindow.ModeOff, l.Mode())
	before := calls(t, client)
	for range 3 {
		d, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
		assert.Equal(t, slidingwindow.Decision{Allowed: true, Reason: slidingwindow.ReasonOff}, d)
		assert.Empty(t, d.Statuses())
		require.NoError(t, l.Refund(t.Context(), "k", d))
	}
	d, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.True(t, d.Allowed)
	assert.Equal(t, before["evalsha"], calls(t, client)["evalsha"])
	_, err = l.Allow(t.Context(), "")
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidKey, "a wrong call stays wrong")
	_, err = l.AllowN(t.Context(), "k", 2)
	assert.ErrorIs(t, err, slidingwindow.ErrCostExceedsLimit)

	l.SetMode(slidingwindow.ModeEnforce)
	assert.False(t, allow(t, l, "k"), "as if it had never been off")
}

func TestShadowModeCountsAndRefusesNothing(t *testing.T) {
	t.Parallel()
	redis, _ := newRedisLimiter(t, redistest.Client(t), slidingwindow.PerMinute(2), slidingwindow.PerHour(5))
	inMemory := newLimiter(t, newMemoryStore(t, memory.Config{}), slidingwindow.PerMinute(2), slidingwindow.PerHour(5))
	for name, l := range map[string]*slidingwindow.Limiter{"redis": redis, "memory": inMemory} {
		require.Equal(t, slidingwindow.ModeEnforce, l.Mode())
		l.SetMode(slidingwindow.ModeShadow)
		require.Equal(t, slidingwindow.ModeShadow, l.Mode())
		for range 2 {
			d, err := l.Allow(t.Context(), "k")
			require.NoError(t, err)
			require.True(t, d.Allowed)
			assert.Equal(t, slidingwindow.ReasonAllowed, d.Reason, name)
			assert.EqualValues(t, 1, d.Granted)
		}
		for range 3 {
			d, err := l.Allow(t.Context(), "k")
			require.NoError(t, err)
			assert.True(t, d.Allowed, name)
			assert.Equal(t, slidingwindow.ReasonShadow, d.Reason)
			assert.Zero(t, d.Granted)
			assert.Greater(t, d.RetryAfter, 50*time.Second, "what it would have had to wait")
			assert.Equal(t, "2-per-1m", d.Limit.Name)
			assert.EqualValues(t, 3, d.Statuses()[1].Remaining, "a refusal takes nothing, here as ever")
			require.NoError(t, l.Refund(t.Context(), "k", d))
		}
		l.SetMode(slidingwindow.ModeEnforce)
		d, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
		assert.False(t, d.Allowed, name)
		assert.Contains(t, []slidingwindow.Reason{slidingwindow.ReasonRefused, slidingwindow.ReasonCached}, d.Reason)
	}
}

func TestShadowModeHidesNoErrors(t *testing.T) {
	t.Parallel()
	l, prefix := newRedisLimiter(t, redistest.Client(t), slidingwindow.PerMinute(2))
	l.SetMode(slidingwindow.ModeShadow)
	require.NoError(t, do(t, redistest.Client(t), "SET", slidingwindow.RedisKey(prefix, "k", "2-per-1m"), "x").Error())
	d, err := l.Allow(t.Context(), "k")
	assert.ErrorIs(t, err, slidingwindow.ErrForeignData)
	assert.Equal(t, slidingwindow.Decision{}, d)
}

func TestWithIsALimiterOfOtherLimits(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, newMemoryStore(t, memory.Config{}), slidingwindow.Limit{Name: "plan", Max: 1, Window: time.Hour})
	pro, err := l.WithLimits(slidingwindow.Limit{Name: "plan", Max: 3, Window: time.Hour}, slidingwindow.PerMinute(2))
	require.NoError(t, err)
	assert.Len(t, pro.Limits(), 2)
	assert.Len(t, l.Limits(), 1)
	require.True(t, allow(t, l, "k"))
	require.False(t, allow(t, l, "k"))
	assert.True(t, allow(t, pro, "k"), "one store, one log")
	assert.True(t, allow(t, pro, "k"))
	assert.False(t, allow(t, pro, "k"))

	l.SetMode(slidingwindow.ModeOff)
	assert.Equal(t, slidingwindow.ModeOff, pro.Mode(), "one kill switch for all")
	assert.True(t, allow(t, pro, "k"))
	pro.SetMode(slidingwindow.ModeEnforce)
	assert.Equal(t, slidingwindow.ModeEnforce, l.Mode())
	pro.SetMode(slidingwindow.ModeShadow)
	assert.Equal(t, slidingwindow.ModeShadow, l.Mode())

	_, err = l.WithLimits()
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidLimit)
	_, err = l.WithLimits(slidingwindow.Limit{Name: "a", Max: -1})
	var fault *slidingwindow.LimitError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, "Max", fault.Field)
}

func TestDecisionDoesNotTellItsKey(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, newMemoryStore(t, memory.Config{}), slidingwindow.PerMinute(1))
	d, err := l.Allow(t.Context(), "ada@example.com")
	require.NoError(t, err)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", d, d, d), "ada@")
}

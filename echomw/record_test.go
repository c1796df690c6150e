package echomw_test

import (
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestDecisionIsOnTheContext(t *testing.T) {
	limiter := newLimiter(t, newClock(), api(1))
	var inside, outside, denied slidingwindow.Decision
	var key string
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			_, ok := echomw.FromContext(c)
			assert.False(t, ok, "not yet")
			err := next(c)
			outside, ok = echomw.FromContext(c)
			assert.True(t, ok)
			return err
		}
	}, echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, RefusalHandler: func(c echo.Context, _ slidingwindow.Decision) error {
		denied, _ = echomw.FromContext(c)
		return nil
	}}))
	e.GET("/users/:id", func(c echo.Context) error {
		var ok bool
		inside, ok = echomw.FromContext(c)
		assert.True(t, ok)
		key, ok = echomw.KeyFromContext(c)
		assert.True(t, ok)
		return c.NoContent(200)
	})

	get(e)
	assert.True(t, inside.Allowed)
	assert.Equal(t, slidingwindow.ReasonAllowed, inside.Reason)
	assert.Equal(t, inside, outside)
	get(e)
	assert.False(t, outside.Allowed)
	assert.Equal(t, slidingwindow.ReasonRefused, outside.Reason)
	assert.Equal(t, outside, denied)

	require.NoError(t, limiter.Refund(t.Context(), key, inside), "it is the limiter's own")
	assert.Equal(t, 200, get(e).Code)
	require.NoError(t, limiter.Reset(t.Context(), key))
	assert.Equal(t, 200, get(e).Code)
}

func TestDecisionOnTheContextIsThatOfTheLastLimiter(t *testing.T) {
	clock := newClock()
	e := echo.New()
	e.Use(echomw.RateLimiter(newLimiter(t, clock, api(1))))
	e.GET("/users/:id", func(c echo.Context) error {
		d, ok := echomw.FromContext(c)
		assert.True(t, ok)
		assert.Equal(t, "route", d.Limit.Name)
		key, _ := echomw.KeyFromContext(c)
		assert.Equal(t, "GET /users/:id", key)
		return c.NoContent(200)
	}, echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, clock, slidingwindow.Limit{Name: "route", Max: 50, Window: time.Minute}),
		Key:     echomw.KeyByRoute(),
	}))
	assert.Equal(t, 200, get(e).Code)
}

func TestUndecidedRequestHasNoDecisionOnTheContext(t *testing.T) {
	off, shadow := newLimiter(t, newClock(), api(1)), newLimiterOn(t, &stubStore{err: slidingwindow.ErrStoreUnavailable}, api(1))
	off.SetMode(slidingwindow.ModeOff)
	shadow.SetMode(slidingwindow.ModeShadow)
	for name, config := range map[string]echomw.Config{
		"skipped": {Limiter: newLimiter(t, newClock(), api(1)), Skipper: func(echo.Context) bool { return true }},
		"free":    {Limiter: newLimiter(t, newClock(), api(1)), Cost: func(echo.Context) (int64, error) { return 0, nil }},
		"off":     {Limiter: off},
		"shadow":  {Limiter: shadow},
	} {
		e := echo.New()
		e.Use(echomw.RateLimiterWithConfig(config))
		e.GET("/users/:id", func(c echo.Context) error {
			d, ok := echomw.FromContext(c)
			assert.False(t, ok, name)
			assert.Equal(t, slidingwindow.Decision{}, d)
			key, ok := echomw.KeyFromContext(c)
			assert.False(t, ok)
			assert.Empty(t, key)
			return c.NoContent(200)
		})
		rec := get(e)
		assert.Equal(t, 200, rec.Code)
		assert.Empty(t, rec.Header().Values("RateLimit"), name)
		assert.Empty(t, rec.Header().Values("RateLimit-Policy"), name)
	}
}

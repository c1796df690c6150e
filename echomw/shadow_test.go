package echomw_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestFirstRefusalOfAKeyIsToldOnce(t *testing.T) {
	var told []slidingwindow.Decision
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		OnFirstRefusal: func(c echo.Context, d slidingwindow.Decision) {
			told = append(told, d)
			assert.False(t, c.Response().Committed)
			onContext, ok := echomw.FromContext(c)
			assert.True(t, ok)
			assert.Equal(t, d, onContext)
		},
	}))
	get(e)
	assert.Empty(t, told)
	for range 5 {
		assert.Equal(t, 429, get(e).Code)
	}
	require.Len(t, told, 1)
	assert.Equal(t, slidingwindow.ReasonRefused, told[0].Reason)
	assert.Equal(t, "api", told[0].Limit.Name)
	get(e, from("203.0.113.5:1"))
	get(e, from("203.0.113.5:1"))
	assert.Len(t, told, 2, "each key has a first refusal")
}

func TestConcurrentRefusalsAreToldOnce(t *testing.T) {
	var told atomic.Int64
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter:        newLimiter(t, newClock(), api(0)),
		OnFirstRefusal: func(echo.Context, slidingwindow.Decision) { told.Add(1) },
	}))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { get(e) })
	}
	wg.Wait()
	assert.EqualValues(t, 1, told.Load())
}

func TestShadowModeRefusesNothingAndTells(t *testing.T) {
	for _, shown := range []bool{true, false} {
		limiter := newLimiter(t, newClock(), api(1))
		limiter.SetMode(slidingwindow.ModeShadow)
		var told []slidingwindow.Decision
		e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
			Limiter: limiter, Headers: echomw.HeadersDraft11 | echomw.HeadersLegacy, ShadowHeaders: shown,
			RefusalHandler: func(echo.Context, slidingwindow.Decision) error { return errors.New("not to be called") },
			OnFirstRefusal: func(_ echo.Context, d slidingwindow.Decision) { told = append(told, d) },
		}))
		for i := range 4 {
			rec := get(e)
			assert.Equal(t, 200, rec.Code)
			assert.Empty(t, rec.Header().Get("Retry-After"))
			assert.Empty(t, rec.Header().Get("Cache-Control"))
			if shown {
				assert.Equal(t, `"api";r=0;t=900`, rec.Header().Get("RateLimit"), i)
				continue
			}
			assert.Empty(t, rec.Header().Get("RateLimit"), "clients obey what they are told")
			assert.Empty(t, rec.Header().Get("X-RateLimit-Remaining"))
		}
		require.Len(t, told, 1)
		assert.Equal(t, slidingwindow.ReasonShadow, told[0].Reason)
		assert.True(t, told[0].Allowed)
		assert.Positive(t, told[0].RetryAfter)

		limiter.SetMode(slidingwindow.ModeEnforce)
		assert.Equal(t, 500, get(e).Code, "the RefusalHandler")
		require.Len(t, told, 2, "what was a rehearsal is now real")
		assert.Equal(t, slidingwindow.ReasonRefused, told[1].Reason)
	}
}

func TestShadowModePassesOnWhatCannotBeDecided(t *testing.T) {
	var log strings.Builder
	store := &stubStore{err: slidingwindow.ErrStoreUnavailable}
	limiter := newLimiterOn(t, store, api(1))
	limiter.SetMode(slidingwindow.ModeShadow)
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		ErrorHandler: func(echo.Context, error) error { return errors.New("not to be called") },
	}))
	for range 3 {
		rec := get(e)
		assert.Equal(t, 200, rec.Code)
		assert.Empty(t, rec.Header().Get("Cache-Control"))
	}
	assert.Equal(t, 1, strings.Count(log.String(), "level=WARN"))
	assert.Contains(t, log.String(), "store unavailable")
	limiter.SetMode(slidingwindow.ModeEnforce)
	assert.Equal(t, 500, get(e).Code)

	noKey := newLimiter(t, newClock(), api(1))
	noKey.SetMode(slidingwindow.ModeShadow)
	log.Reset()
	e = newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: noKey, Key: echomw.KeyByHeader("X-API-Key"), Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}))
	ended, end := context.WithCancel(t.Context())
	end()
	for range 50 {
		assert.Equal(t, 200, get(e).Code)
		assert.Equal(t, 200, get(e, header("X-API-Key", "k")).Code)
		assert.Equal(t, 200, get(e, header("X-API-Key", "k"), func(r *http.Request) { *r = *r.WithContext(ended) }).Code)
	}
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), "no client can flood the log")
	assert.Contains(t, log.String(), "without a key")
}

func TestDisabledLimiterPassesEverythingOn(t *testing.T) {
	store := &stubStore{err: slidingwindow.ErrStoreUnavailable}
	limiter := newLimiterOn(t, store, api(1))
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		Key:     echomw.KeyFunc(func(echo.Context) (string, error) { return "", errors.New("broken, too") }),
	}))
	assert.Equal(t, 403, get(e).Code)
	limiter.SetMode(slidingwindow.ModeOff)
	rec := get(e)
	assert.Equal(t, 200, rec.Code)
	assert.Empty(t, rec.Header().Get("RateLimit"))
	assert.Zero(t, store.calls)
	limiter.SetMode(slidingwindow.ModeEnforce)
	assert.Equal(t, 403, get(e).Code)
}

func TestSwitchesWorkOnPlansToo(t *testing.T) {
	limiter := newLimiter(t, newClock(), api(1))
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		Limits:  func(echo.Context) ([]slidingwindow.Limit, error) { return []slidingwindow.Limit{api(0)}, nil },
	}))
	assert.Equal(t, 429, get(e).Code)
	limiter.SetMode(slidingwindow.ModeShadow)
	assert.Equal(t, 200, get(e).Code)
	limiter.SetMode(slidingwindow.ModeEnforce)
	limiter.SetMode(slidingwindow.ModeOff)
	assert.Equal(t, 200, get(e).Code)
}

package echomw_test

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// guardedWithoutRedis is a store whose Redis has gone.
func guardedWithoutRedis(t *testing.T, config guard.Config) slidingwindow.Store {
	t.Helper()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, AlwaysPipelining: true})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	redis, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{})
	require.NoError(t, err)
	require.NoError(t, server.Kill())
	config.Logger = slog.New(slog.DiscardHandler)
	guarded, err := guard.New(redis, config)
	require.NoError(t, err)
	return guarded
}

func TestOutageByPolicy(t *testing.T) {
	t.Parallel()
	limit := slidingwindow.Limit{Name: "api", Max: 6, Window: 15 * time.Minute}
	t.Run("closed", func(t *testing.T) {
		e := newEcho(echomw.RateLimiter(newLimiterOn(t, guardedWithoutRedis(t, guard.Config{}), limit)))
		for range 20 {
			rec := get(e)
			require.Equal(t, http.StatusServiceUnavailable, rec.Code)
			require.Equal(t, "1", rec.Header().Get("Retry-After"))
		}
	})
	t.Run("open", func(t *testing.T) {
		store := guardedWithoutRedis(t, guard.Config{OnFailure: guard.Open})
		var seen slidingwindow.Decision
		e := newEcho(keepDecision(&seen), echomw.RateLimiter(newLimiterOn(t, store, limit)))
		for range 20 {
			rec := get(e)
			require.Equal(t, http.StatusOK, rec.Code)
			require.Empty(t, rec.Header().Values("RateLimit"), "nothing is known")
			require.Empty(t, rec.Header().Values("RateLimit-Policy"))
			require.Equal(t, slidingwindow.ReasonFailOpen, seen.Reason)
		}
	})
	t.Run("fallback", func(t *testing.T) {
		memory := memory.New()
		store := guardedWithoutRedis(t, guard.Config{OnFailure: guard.Fallback, Fallback: memory, Instances: 3})
		var seen slidingwindow.Decision
		e := newEcho(keepDecision(&seen), echomw.RateLimiterWithConfig(echomw.Config{
			Limiter: newLimiterOn(t, store, limit), Headers: echomw.HeadersDraft11 | echomw.HeadersLegacy,
		}))
		for i, want := range []string{`"api";r=1;t=900`, `"api";r=0;t=900`, `"api";r=0;t=900`} {
			rec := get(e)
			require.Equal(t, map[bool]int{true: http.StatusOK, false: http.StatusTooManyRequests}[i < 2], rec.Code)
			require.Equal(t, want, rec.Header().Get("RateLimit"))
			require.Equal(t, `"api";q=2;w=900`, rec.Header().Get("RateLimit-Policy"), "what this process allows")
			require.Equal(t, "2", rec.Header().Get("X-RateLimit-Limit"))
			require.Equal(t, slidingwindow.ReasonFallback, seen.Reason)
		}
	})
	t.Run("fallback that gives back", func(t *testing.T) {
		memory := memory.New()
		store := guardedWithoutRedis(t, guard.Config{OnFailure: guard.Fallback, Fallback: memory})
		e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{Limiter: newLimiterOn(t, store, limit), SkipSuccessful: true}))
		for range 20 {
			require.Equal(t, http.StatusOK, get(e).Code)
		}
	})
}

func keepDecision(d *slidingwindow.Decision) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			*d, _ = echomw.FromContext(c)
			return err
		}
	}
}

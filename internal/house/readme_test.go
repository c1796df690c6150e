package house_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// The functions readme... of the files readme*_test.go are code blocks of the README and of
// pages of docs, with what they need around them.

func readmeLimits(ctx context.Context, store slidingwindow.Store) error {
	limiter, err := slidingwindow.New(store,
		slidingwindow.Limit{Name: "burst", Max: 10, Window: time.Second},
		slidingwindow.Limit{Name: "daily", Max: 5_000, Window: 24 * time.Hour})
	if err != nil {
		return err
	}
	d, err := limiter.AllowN(ctx, "tenant:9", 3) // all three units, or none
	if err != nil {
		return err // no decision, which is not a refusal
	}
	if !d.Allowed {
		return fmt.Errorf("refused by %s: retry in %v", d.Limit.Name, d.RetryAfter)
	}
	return nil
}

func readmeConfiguration(ctx context.Context, e *echo.Echo, serve func()) error {
	cfg, err := config.Load(config.Sources{YAML: "config.yaml", DotEnv: ".env"}) // then the environment
	if err != nil {
		return err // all that is wrong, each with its key and where it came from
	}
	store, err := cfg.Redis.Open(ctx) // one for the whole program; Connect gives the client only
	if err != nil {
		return err // cannot reach redis at 127.0.0.1:6379: connection refused
	}
	defer store.Close()
	api, err := cfg.Limit("api") // limits.api.max and limits.api.window
	if err != nil {
		return err
	}
	limiter, err := slidingwindow.New(store, api.Limit)
	if err != nil {
		return err
	}
	headers, err := echomw.ParseHeaders(cfg.Response.Headers)
	if err != nil {
		return err
	}
	key, err := echomw.ParseKey(cmp.Or(api.By, "ip"),
		echomw.KeyOptions{IPv6Prefix: cfg.Client.IPv6Prefix, Secret: cfg.Client.KeySecret.Bytes()})
	if err != nil {
		return err
	}
	limiter.SetMode(api.Mode)
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		Key:     key,
		Headers: headers,
		Status: echomw.StatusCodes{
			Refused: cfg.Response.RefusedStatus,
			NoKey:   cfg.Response.NoKeyStatus,
			Failed:  cfg.Response.FailedStatus,
		},
	}))
	serve()
	return nil
}

func TestReadmesCodeOfLimitsWorks(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	for range 3 {
		require.NoError(t, readmeLimits(t.Context(), store))
	}
	assert.ErrorContains(t, readmeLimits(t.Context(), store), "refused by burst: retry in ")
}

func readmeGuard(redisStore, memoryStore slidingwindow.Store) (*guard.Store, error) {
	store, err := guard.New(redisStore, guard.Config{
		OnFailure: guard.Fallback,
		Fallback:  memoryStore,
		Instances: 3, // each gives a third of every limit
	})
	return store, err
}

func TestReadmesCodeOfFailuresWorks(t *testing.T) {
	t.Parallel()
	client := redistest.Connect(t, redistest.URL(t))
	redis, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{})
	require.NoError(t, err)
	client.Close()
	store, err := readmeGuard(redis, newStore(t))
	require.NoError(t, err)
	limiter, err := slidingwindow.New(store, slidingwindow.PerMinute(300))
	require.NoError(t, err)
	d, err := limiter.Allow(t.Context(), "k")
	require.NoError(t, err)
	assert.Equal(t, slidingwindow.ReasonFallback, d.Reason)
	assert.EqualValues(t, 99, d.Remaining)
}

func TestReadmesCodeOfConfigurationWorks(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("config.yaml", []byte("limits: {api: {max: 100, window: 15m}}\n"), 0o600))
	prefix := redistest.Prefix(t, redistest.Client(t))
	require.NoError(t, os.WriteFile(".env", []byte("REDIS_PREFIX="+prefix+"\nREDIS_TIMEOUT=10s\n"), 0o600))
	t.Setenv("REDIS_URL", redistest.URL(t))

	serve := func(use func(e *echo.Echo)) {
		e := newEcho()
		require.NoError(t, readmeConfiguration(t.Context(), e, func() { use(e) }))
	}
	serve(func(e *echo.Echo) {
		assert.Equal(t, `"api";r=99;t=900`, get(e).Header().Get("RateLimit"))
	})

	t.Setenv("RESPONSE_HEADERS", "draft-6")
	t.Setenv("RESPONSE_REFUSED_STATUS", "420")
	t.Setenv("RESPONSE_NO_KEY_STATUS", "422")
	t.Setenv("RESPONSE_FAILED_STATUS", "500")
	t.Setenv("CLIENT_IPV6_PREFIX", "64")
	t.Setenv("CLIENT_KEY_SECRET", "16 random bytes or more")
	t.Setenv("LIMITS_API_BY", "hashed:ip")
	t.Setenv("LIMITS_API_MAX", "1")
	by := func(e *echo.Echo, peer string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.RemoteAddr = peer
		return answer(e, req)
	}
	serve(func(e *echo.Echo) {
		assert.Equal(t, "0", by(e, "[2001:db8::1]:4711").Header().Get("RateLimit-Remaining"))
		assert.Equal(t, 420, by(e, "[2001:db8::2]:4711").Code)
		assert.Equal(t, http.StatusNoContent, by(e, "[2001:db8:0:1::1]:4711").Code, "another /64")
		assert.Equal(t, http.StatusUnprocessableEntity, by(e, "@").Code, "a Unix socket has no address")

		late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
		defer cancel()
		assert.Equal(t, http.StatusInternalServerError, answer(e, httptest.NewRequestWithContext(late, http.MethodGet, "/", nil)).Code)
	})
	t.Setenv("LIMITS_API_MODE", "shadow")
	serve(func(e *echo.Echo) {
		assert.Equal(t, http.StatusNoContent, by(e, "[2001:db8::1]:4711").Code)
	})
}

func unindented(code string) string {
	lines := strings.Split(code, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimLeft(line, "\t")
	}
	return strings.Join(lines, "\n")
}

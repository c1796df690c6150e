package integration_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// application is a server of its own, with its own client of the Redis at a URL, before
// it listens.
func application(t *testing.T, redisURL, prefix string, limits ...slidingwindow.Limit) *echo.Echo {
	t.Helper()
	limiter := deployment{client: redistest.Connect(t, redisURL), prefix: prefix}.limiter(t, limits...)
	e := echo.New()
	e.Use(echomw.RateLimiter(limiter))
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "hello") })
	return e
}

func listen(t *testing.T, e *echo.Echo) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return server
}

// instance is an application that listens.
func instance(t *testing.T, redisURL, prefix string, limits ...slidingwindow.Limit) *httptest.Server {
	t.Helper()
	return listen(t, application(t, redisURL, prefix, limits...))
}

func get(t *testing.T, server *httptest.Server, header http.Header) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	request.Header = header
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response
}

func TestTwoInstancesShareOneLimit(t *testing.T) {
	t.Parallel()
	prefix := redistest.Prefix(t, redistest.Client(t))
	limit := slidingwindow.Limit{Name: "api", Max: 10, Window: 15 * time.Minute}
	instances := []*httptest.Server{
		instance(t, redistest.URL(t), prefix, limit),
		instance(t, redistest.URL(t), prefix, limit),
	}
	for i := range 14 {
		// A forged address makes no new client.
		forged := http.Header{"X-Forwarded-For": {"203.0.113." + string(rune('0'+i%10))}, "X-Real-Ip": {"203.0.113.9"}}
		response := get(t, instances[i%2], forged)
		assert.Equal(t, `"api";q=10;w=900`, response.Header.Get("RateLimit-Policy"))
		if i < 10 {
			assert.Equal(t, http.StatusOK, response.StatusCode, "request %d", i+1)
			assert.Empty(t, response.Header.Get("Retry-After"))
			continue
		}
		assert.Equal(t, http.StatusTooManyRequests, response.StatusCode, "request %d", i+1)
		assert.NotEmpty(t, response.Header.Get("Retry-After"))
		assert.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	}
}

func TestRedisOutageIs503AndHeals(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	api := instance(t, server.URL(), "outage", slidingwindow.PerHour(2))
	require.Equal(t, http.StatusOK, get(t, api, nil).StatusCode)

	require.NoError(t, server.Kill())
	for range 5 {
		assert.Equal(t, http.StatusServiceUnavailable, get(t, api, nil).StatusCode, "an outage is not a refusal")
	}
	require.NoError(t, server.Restart(t.Context()))
	assert.Eventually(t, func() bool { return get(t, api, nil).StatusCode == http.StatusOK }, 10*time.Second, 10*time.Millisecond)
}

package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

func TestHealthIsNotLimited(t *testing.T) {
	t.Parallel()
	i := start(t, onRedis(t, "LIMITS_API_MAX=1")...)
	for range 3 {
		r := i.get(t, "/api/health/redis")
		require.Equal(t, http.StatusOK, r.status)
		assert.Equal(t, `{"success":true,"redis":"PONG"}`, r.body)
		assert.Empty(t, r.header.Get("RateLimit"))
		for _, probe := range []string{"/livez", "/readyz"} {
			r = i.get(t, probe)
			require.Equal(t, http.StatusOK, r.status)
			assert.Empty(t, r.header.Get("RateLimit"))
		}
	}
	assert.Equal(t, http.StatusOK, i.get(t, "/api/users").status, "probes take nothing from the quota")
}

func TestHealthOfMemorySaysSo(t *testing.T) {
	t.Parallel()
	i := start(t, "REDIS_URL=memory://")
	r := i.get(t, "/api/health/redis")
	assert.Equal(t, http.StatusOK, r.status)
	assert.Contains(t, r.reply(t).Redis, "memory://")
}

func TestLostRedisIs503AndNeverARefusal(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	i := start(t, "REDIS_URL="+server.URL())
	require.Equal(t, http.StatusOK, i.get(t, "/api/users").status)
	require.NoError(t, server.Kill())

	r := i.get(t, "/api/health/redis")
	assert.Equal(t, http.StatusServiceUnavailable, r.status)
	assert.Equal(t, `{"success":false,"message":"Redis cannot decide."}`, r.body)

	r = i.get(t, "/api/users")
	assert.Equal(t, http.StatusServiceUnavailable, r.status)
	assert.Equal(t, `{"success":false,"message":"Service Unavailable"}`, r.body)
	assert.Contains(t, i.log.String(), "request failed")
}

func TestFallbackServesWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	require.NoError(t, server.Kill())
	i := start(t, "REDIS_URL="+server.URL(), "REDIS_ON_FAILURE=fallback", "REDIS_INSTANCES=5", "LIMITS_API_MAX=10")
	for n := range 4 {
		r := i.get(t, "/api/users")
		assert.Equal(t, map[bool]int{true: http.StatusOK, false: http.StatusTooManyRequests}[n < 2], r.status, "a fifth of 10")
		assert.Contains(t, r.header.Get("RateLimit-Policy"), `"api";q=2;`, "clients are told of it")
	}
	assert.Equal(t, http.StatusServiceUnavailable, i.get(t, "/api/health/redis").status)
	assert.Contains(t, i.log.String(), "starting without redis")

	require.NoError(t, server.Restart(t.Context()))
	require.Eventually(t, func() bool {
		r := i.get(t, "/api/users")
		return r.status == http.StatusOK && strings.Contains(r.header.Get("RateLimit-Policy"), "q=10;")
	}, 10*time.Second, 10*time.Millisecond, "it heals")
	assert.Equal(t, http.StatusOK, i.get(t, "/api/health/redis").status)
}

// Redis is there and answers, but takes no writes: nothing can be decided.
func TestProbesOfEachPolicy(t *testing.T) {
	t.Parallel()
	for policy, ready := range map[string]int{
		"closed":   http.StatusServiceUnavailable,
		"open":     http.StatusOK,
		"fallback": http.StatusOK,
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			server, err := redisserver.Start(t.Context())
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, server.Stop()) })
			i := start(t, "REDIS_URL="+server.URL(), "REDIS_ON_FAILURE="+policy, "REDIS_TIMEOUT=10s")
			require.Equal(t, http.StatusOK, i.get(t, "/readyz").status)
			_, err = server.Do(t.Context(), "config", "set", "min-replicas-to-write", "1")
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, i.get(t, "/livez").status)
			assert.Equal(t, ready, i.get(t, "/readyz").status)
			assert.Equal(t, http.StatusServiceUnavailable, i.get(t, "/api/health/redis").status)
			assert.Equal(t, ready, i.get(t, "/api/users").status, "ready says what becomes of calls")
		})
	}
}

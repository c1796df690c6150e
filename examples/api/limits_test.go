package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const refusalBody = `{"success":false,"message":"Too many requests, please try again later."}`

func TestTwoInstancesRefuseExactlyAtTheLimitOfBoth(t *testing.T) {
	t.Parallel()
	environ := onRedis(t, "LIMITS_API_MAX=10")
	instances := []*instance{start(t, environ...), start(t, environ...)}
	for n := 1; n <= 10; n++ {
		r := instances[n%2].get(t, "/api/products")
		require.Equal(t, http.StatusOK, r.status, "request %d", n)
		assert.Contains(t, r.header.Get("RateLimit"), fmt.Sprintf(`"api";r=%d;`, 10-n))
	}
	for n := 11; n <= 14; n++ {
		r := instances[n%2].get(t, "/api/users")
		require.Equal(t, http.StatusTooManyRequests, r.status, "request %d", n)
		assert.Equal(t, refusalBody, r.body)
		assert.Equal(t, "application/json", r.header.Get("Content-Type"))
		assert.NotEmpty(t, r.header.Get("Retry-After"))
	}
}

func TestConcurrentRequestsToTwoInstancesGetExactlyTheLimit(t *testing.T) {
	t.Parallel()
	environ := onRedis(t, "LIMITS_API_MAX=20")
	instances := []*instance{start(t, environ...), start(t, environ...)}
	var allowed, refused atomic.Int32
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			switch instances[n%2].get(t, "/api/products").status {
			case http.StatusOK:
				allowed.Add(1)
			case http.StatusTooManyRequests:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 20, allowed.Load())
	assert.EqualValues(t, 30, refused.Load())
}

func TestLoginHasTheStrictLimitOnTopOfTheGlobalOne(t *testing.T) {
	t.Parallel()
	environ := onRedis(t) // the limits as they are shipped
	instances := []*instance{start(t, environ...), start(t, environ...)}
	for n := 1; n <= 5; n++ {
		r := instances[n%2].login(t)
		require.Equal(t, http.StatusOK, r.status, "login %d", n)
		assert.Equal(t, reply{Success: true, Message: "Logged in."}, r.reply(t))
		assert.Equal(t, []string{`"api";q=100;w=900`, `"login";q=5;w=600`}, r.header.Values("RateLimit-Policy"))
		require.Len(t, r.header.Values("RateLimit"), 2)
		assert.Contains(t, r.header.Values("RateLimit")[0], fmt.Sprintf(`"api";r=%d;`, 100-n))
		assert.Contains(t, r.header.Values("RateLimit")[1], fmt.Sprintf(`"login";r=%d;`, 5-n))
	}
	r := instances[0].login(t)
	assert.Equal(t, http.StatusTooManyRequests, r.status)
	assert.Equal(t, refusalBody, r.body)

	r = instances[1].get(t, "/api/products")
	assert.Equal(t, http.StatusOK, r.status, "only logins are refused")
	assert.Contains(t, r.header.Get("RateLimit"), `"api";r=93;`, "the global limit counted the 6 logins too")
}

func TestUsedUpGlobalLimitRefusesLogins(t *testing.T) {
	t.Parallel()
	i := start(t, "REDIS_URL=memory://", "LIMITS_API_MAX=1")
	require.Equal(t, http.StatusOK, i.get(t, "/api/users").status)
	r := i.login(t)
	assert.Equal(t, http.StatusTooManyRequests, r.status)
	assert.Equal(t, []string{`"api";q=1;w=900`}, r.header.Values("RateLimit-Policy"))
}

func TestForwardedAddressesMakeNoNewQuota(t *testing.T) {
	t.Parallel()
	i := start(t, onRedis(t, "LIMITS_API_MAX=2")...)
	for n := range 4 {
		address := fmt.Sprintf("198.51.100.%d", n)
		r := i.get(t, "/api/products", "X-Forwarded-For", address, "X-Real-IP", address, "Forwarded", "for="+address)
		want := http.StatusOK
		if n >= 2 {
			want = http.StatusTooManyRequests
		}
		assert.Equal(t, want, r.status, "request %d", n+1)
	}
}

func TestUnknownPathsAreJSONAndCount(t *testing.T) {
	t.Parallel()
	i := start(t, "REDIS_URL=memory://", "LIMITS_API_MAX=2")
	for path, want := range map[string]int{"/": http.StatusNotFound, "/api": http.StatusNotFound, "/api/none": http.StatusNotFound} {
		r := i.get(t, path)
		assert.Equal(t, want, r.status, path)
		assert.Equal(t, `{"success":false,"message":"Not Found"}`, r.body, path)
	}
	assert.Equal(t, http.StatusTooManyRequests, i.get(t, "/api/none").status, "two of the three paths are under /api")
}

func TestBadBodiesAreRefused(t *testing.T) {
	t.Parallel()
	i := start(t, "REDIS_URL=memory://")
	for name, body := range map[string]string{
		"none":        "",
		"nobody":      `{"password": "x"}`,
		"no password": `{"username": "ada"}`,
		"not JSON":    `{"username"`,
		"too large":   `{"username": "` + strings.Repeat("a", maxBody) + `"}`,
	} {
		r := i.do(t, http.MethodPost, "/api/users/login", body, "Content-Type", "application/json")
		assert.Equal(t, http.StatusBadRequest, r.status, name)
		assert.False(t, r.reply(t).Success, name)
	}
}

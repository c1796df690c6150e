package echomw_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

func TestKeyByRoute(t *testing.T) {
	var key string
	var keyErr error
	byRoute := echomw.KeyByRoute()
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			key, keyErr = byRoute.Key(c)
			return next(c)
		}
	})
	ok := func(c echo.Context) error { return c.NoContent(http.StatusOK) }
	e.GET("/users/:id", ok)
	e.POST("/users/:id", ok)
	e.GET("/files/*", ok)
	e.Any("/any", ok)
	group := e.Group("/api/:tenant", func(next echo.HandlerFunc) echo.HandlerFunc { return next })
	group.GET("/orders", ok)

	for _, test := range []struct{ method, target, key string }{
		{"GET", "/users/1", "GET /users/:id"},
		{"GET", "/users/2?x=1", "GET /users/:id"},
		{"POST", "/users/2", "POST /users/:id"},
		{"GET", "/files/a/b/c", "GET /files/*"},
		{"PROPFIND", "/any", "PROPFIND /any"},
		{"GET", "/api/acme/orders", "GET /api/:tenant/orders"},
		{"GET", "/api/other/orders", "GET /api/:tenant/orders"},
		// No route, or no such method: bounded all the same.
		{"GET", "/api/acme/nowhere", "GET /api/:tenant/*"},
		{"GET", "/nowhere", "GET (no route)"},
		{"GET", "/nowhere/else", "GET (no route)"},
		{"DELETE", "/users/1", "DELETE /users/:id"},
		{"MADE-UP", "/users/1", "OTHER /users/:id"},
		{"MADE-UP-2", "/users/1", "OTHER /users/:id"},
		{"MADE-UP", "/nowhere", "OTHER (no route)"},
		{"MADE-UP", "/api/acme/nowhere", "OTHER /api/:tenant/*"},
	} {
		do(e, test.method, test.target)
		require.NoError(t, keyErr)
		assert.Equal(t, test.key, key, "%s %s", test.method, test.target)
	}
}

func TestRoutesHaveQuotasOfTheirOwn(t *testing.T) {
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Key:     echomw.KeyByRoute(),
	}))
	assert.Equal(t, http.StatusOK, do(e, http.MethodGet, "/users/1").Code)
	assert.Equal(t, http.StatusTooManyRequests, do(e, http.MethodGet, "/users/2").Code)
	assert.Equal(t, http.StatusOK, do(e, http.MethodPost, "/users/1").Code)
	assert.Equal(t, http.StatusTooManyRequests, do(e, http.MethodPost, "/users/1", from("203.0.113.1:1")).Code)
}

func TestRouteMiddlewareKnowsItsRoute(t *testing.T) {
	limit := echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Key:     echomw.KeyByRoute(),
	})
	e := echo.New()
	ok := func(c echo.Context) error { return c.NoContent(http.StatusOK) }
	e.GET("/a", ok, limit)
	e.GET("/b", ok, limit)
	assert.Equal(t, http.StatusOK, do(e, http.MethodGet, "/a").Code)
	assert.Equal(t, http.StatusTooManyRequests, do(e, http.MethodGet, "/a").Code)
	assert.Equal(t, http.StatusOK, do(e, http.MethodGet, "/b").Code)
}

// e.Any serves each method: by KeyByRoute each is a quota, by KeyByPattern all share one.
func TestMethodsOfOneRoute(t *testing.T) {
	served := func(text string) (n int) {
		key, err := echomw.ParseKey(text, echomw.KeyOptions{})
		require.NoError(t, err)
		e := echo.New()
		e.Any("/*", func(c echo.Context) error { return c.NoContent(200) },
			echomw.RateLimiterWithConfig(echomw.Config{Limiter: newLimiter(t, newClock(), api(2)), Key: key}))
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			for range 3 {
				if do(e, method, "/x").Code == 200 {
					n++
				}
			}
		}
		return n
	}
	assert.Equal(t, 12, served("route"))
	assert.Equal(t, 2, served("pattern"))
}

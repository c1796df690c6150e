package echomw_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// call sends a GET request to the server and returns the response.
func call(e *echo.Echo, path, remoteAddr string) *http.Response {
	req := httptest.NewRequest(http.MethodGet, path, nil)
	req.RemoteAddr = remoteAddr
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	return rec.Result()
}

func ExampleRateLimiter() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerHour(2))

	e := echo.New()
	e.Use(echomw.RateLimiter(limiter))
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "hello") })

	for range 3 {
		res := call(e, "/", "198.51.100.7:40000")
		fmt.Println(res.StatusCode, res.Header.Get("RateLimit-Policy"), res.Header.Get("Content-Type"))
	}
	fmt.Println(call(e, "/", "203.0.113.9:40000").StatusCode, "for another client")
	// Output:
	// 200 "2-per-1h";q=2;w=3600 text/plain; charset=UTF-8
	// 200 "2-per-1h";q=2;w=3600 text/plain; charset=UTF-8
	// 429 "2-per-1h";q=2;w=3600 application/problem+json
	// 200 for another client
}

// Each client has a quota of its own on each route.
func ExampleRateLimiterWithConfig() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerMinute(1))

	e := echo.New()
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		Key:     echomw.Join(echomw.KeyByIP(echomw.DefaultIPv6Prefix), echomw.KeyByRoute()),
	}))
	ok := func(c echo.Context) error { return c.NoContent(http.StatusOK) }
	e.GET("/users/:id", ok)
	e.GET("/orders", ok)

	fmt.Println(call(e, "/users/1", "198.51.100.7:40000").StatusCode)
	fmt.Println(call(e, "/users/2", "198.51.100.7:40000").StatusCode, "for the same route")
	fmt.Println(call(e, "/orders", "198.51.100.7:40000").StatusCode, "for another route")
	fmt.Println(call(e, "/users/1", "203.0.113.9:40000").StatusCode, "for another client")
	// Output:
	// 200
	// 429 for the same route
	// 200 for another route
	// 200 for another client
}

// What names a client is up to the application: here the first label of the host.
func ExampleKeyFunc() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "tenant", Max: 1, Window: time.Minute})

	e := echo.New()
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		Key: echomw.KeyFunc(func(c echo.Context) (string, error) {
			tenant, _, found := strings.Cut(c.Request().Host, ".")
			if !found {
				return "", echo.NewHTTPError(http.StatusNotFound, "no such tenant")
			}
			return strings.ToLower(tenant), nil
		}),
	}))
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })

	fmt.Println(call(e, "http://acme.shop.example/", "198.51.100.7:40000").StatusCode)
	fmt.Println(call(e, "http://ACME.shop.example/", "203.0.113.9:40000").StatusCode, "for the same tenant")
	fmt.Println(call(e, "http://other.shop.example/", "198.51.100.7:40000").StatusCode, "for another tenant")
	fmt.Println(call(e, "http://localhost/", "198.51.100.7:40000").StatusCode, "without a tenant")
	// Output:
	// 200
	// 429 for the same tenant
	// 200 for another tenant
	// 404 without a tenant
}

// The body of a refusal is one line of configuration.
func ExampleConfig_message() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerMinute(1))

	e := echo.New()
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		Message: echo.Map{"success": false, "message": "Too many requests, please try again later."},
	}))
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })

	call(e, "/", "198.51.100.7:40000")
	rec := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.RemoteAddr = "198.51.100.7:40000"
	e.ServeHTTP(rec, req)
	fmt.Println(rec.Code, rec.Body)
	// Output:
	// 429 {"message":"Too many requests, please try again later.","success":false}
}

// ToMiddleware gives an error instead of a panic.
func ExampleConfig_ToMiddleware() {
	_, err := echomw.Config{}.ToMiddleware()
	fmt.Println(err)
	// Output:
	// echomw: invalid configuration: Config.Limiter is nil; allowed: a limiter from slidingwindow.New
}

// Guesses of a password are limited; a user who knows it never is.
func ExampleConfig_login() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "login", Max: 2, Window: 10 * time.Minute})

	e := echo.New()
	e.GET("/login", func(c echo.Context) error {
		if c.QueryParam("password") != "correct" {
			return echo.ErrUnauthorized
		}
		return c.NoContent(http.StatusOK)
	}, echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, SkipSuccessful: true}))

	for _, password := range []string{"correct", "correct", "correct", "guess", "guess", "guess"} {
		fmt.Println(password, call(e, "/login?password="+password, "198.51.100.7:40000").StatusCode)
	}
	// Output:
	// correct 200
	// correct 200
	// correct 200
	// guess 401
	// guess 401
	// guess 429
}

// Each customer has the limit of their plan.
func ExampleConfig_limits() {
	free := slidingwindow.Limit{Name: "api", Max: 1, Window: time.Hour}
	pro := slidingwindow.Limit{Name: "api", Max: 1000, Window: time.Hour}
	limiter := slidingwindow.MustNew(memory.New(), free)

	e := echo.New()
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		Limits: func(c echo.Context) ([]slidingwindow.Limit, error) {
			if c.QueryParam("plan") == "pro" { // an application asks its database
				return []slidingwindow.Limit{pro}, nil
			}
			return nil, nil // those of the limiter
		},
	}))
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })

	for _, plan := range []string{"free", "free", "pro"} {
		res := call(e, "/?plan="+plan, "198.51.100.7:40000")
		fmt.Println(plan, res.StatusCode, res.Header.Get("RateLimit-Policy"))
	}
	// Output:
	// free 200 "api";q=1;w=3600
	// free 429 "api";q=1;w=3600
	// pro 200 "api";q=1000;w=3600
}

// Metrics count what became of each request.
func ExampleFromContext() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "api", Max: 2, Window: time.Hour})

	counts := map[string]int{}
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			err := next(c)
			if d, ok := echomw.FromContext(c); ok {
				counts[d.Limit.Name+" "+string(d.Reason)]++
			}
			return err
		}
	}, echomw.RateLimiter(limiter))
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })

	for range 5 {
		call(e, "/", "198.51.100.7:40000")
	}
	fmt.Println(counts)
	// Output: map[api allowed:2 api refused:3]
}

package echomw_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
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
	store, err := slidingwindow.NewMemoryStore(slidingwindow.MemoryConfig{})
	if err != nil {
		panic(err)
	}
	limiter, err := slidingwindow.New(store, slidingwindow.PerHour(2))
	if err != nil {
		panic(err)
	}

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
	store, err := slidingwindow.NewMemoryStore(slidingwindow.MemoryConfig{})
	if err != nil {
		panic(err)
	}
	limiter, err := slidingwindow.New(store, slidingwindow.PerMinute(1))
	if err != nil {
		panic(err)
	}

	e := echo.New()
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		KeyFunc: echomw.Join(echomw.KeyByIP(echomw.DefaultIPv6Prefix), echomw.KeyByRoute()),
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

// A secret is kept out of the store by a KeyFunc that returns a hash of it.
func ExampleKeyFunc() {
	store, err := slidingwindow.NewMemoryStore(slidingwindow.MemoryConfig{})
	if err != nil {
		panic(err)
	}
	limiter, err := slidingwindow.New(store, slidingwindow.Limit{Name: "token", Max: 1, Window: time.Minute})
	if err != nil {
		panic(err)
	}

	e := echo.New()
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		KeyFunc: echomw.KeyFunc(func(c echo.Context) (string, error) {
			token := c.QueryParam("token")
			if token == "" {
				return "", echo.NewHTTPError(http.StatusUnauthorized, "token is missing")
			}
			hash := sha256.Sum256([]byte(token))
			return string(hash[:]), nil
		}),
	}))
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })

	fmt.Println(call(e, "/?token=a", "198.51.100.7:40000").StatusCode)
	fmt.Println(call(e, "/?token=a", "203.0.113.9:40000").StatusCode, "for the same token")
	fmt.Println(call(e, "/?token=b", "198.51.100.7:40000").StatusCode, "for another token")
	fmt.Println(call(e, "/", "198.51.100.7:40000").StatusCode, "without a token")
	// Output:
	// 200
	// 429 for the same token
	// 200 for another token
	// 401 without a token
}

// The body of a refusal is one line of configuration.
func ExampleConfig_message() {
	store, err := slidingwindow.NewMemoryStore(slidingwindow.MemoryConfig{})
	if err != nil {
		panic(err)
	}
	limiter, err := slidingwindow.New(store, slidingwindow.PerMinute(1))
	if err != nil {
		panic(err)
	}

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

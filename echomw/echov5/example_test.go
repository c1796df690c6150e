package echov5_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/labstack/echo/v5"

	"github.com/seed-e8747a6b/ratelimit/echomw/echov5"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func get(e *echo.Echo) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	return rec
}

func Example() {
	e := echo.New() // of github.com/labstack/echo/v5
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerMinute(100))
	e.Use(echov5.RateLimiter(limiter))
	e.GET("/", func(c *echo.Context) error { return c.String(http.StatusOK, "hello\n") })

	rec := get(e)
	fmt.Println(rec.Code, rec.Header().Get("RateLimit"))
	// Output: 200 "100-per-1m";r=99;t=60
}

// An error handler of the application, and what it finds of a refusal.
func ExampleRefusedError() {
	e := echo.New()
	e.HTTPErrorHandler = func(c *echo.Context, err error) {
		var refused *echov5.RefusedError
		if errors.As(err, &refused) {
			err = c.JSON(http.StatusTooManyRequests, map[string]any{"limit": refused.Decision.Limit.Name})
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "closed", Max: 0, Window: time.Minute})
	e.Use(echov5.RateLimiter(limiter))
	fmt.Print(get(e).Body)
	// Output: {"limit":"closed"}
}

// One request and an estimate of tokens are taken; what was used replaces it.
func ExampleConfig_costs() {
	limiter := slidingwindow.MustNew(memory.New(),
		slidingwindow.Limit{Name: "requests", Max: 60, Window: time.Minute},
		slidingwindow.Limit{Name: "tokens", Max: 1000, Window: time.Minute})
	e := echo.New()
	e.Use(echov5.RateLimiterWithConfig(echov5.Config{
		Limiter: limiter,
		Units:   map[string]string{"tokens": "tokens"},
		Costs: func(*echo.Context) (slidingwindow.Cost, error) {
			return slidingwindow.Cost{"requests": 1, "tokens": 800}, nil
		},
	}))
	e.GET("/", func(c *echo.Context) error {
		d, _ := echov5.FromContext(c)
		key, _ := echov5.KeyFromContext(c)
		if err := limiter.Settle(c.Request().Context(), key, d, slidingwindow.Cost{"requests": 1, "tokens": 150}); err != nil {
			return err
		}
		return c.NoContent(http.StatusNoContent)
	})
	fmt.Println(get(e).Header().Get("RateLimit"))
	fmt.Println(get(e).Header().Get("RateLimit"))
	// Output:
	// "requests";r=59;t=60, "tokens";r=200;t=60
	// "requests";r=58;t=60, "tokens";r=50;t=60
}

// The error handler for problem details has what it needs as well.
func ExampleRefusedError_ProblemError() {
	e := echo.New()
	e.HTTPErrorHandler = echo.ProblemDetailsHTTPErrorHandler(false)
	e.Use(echov5.RateLimiter(slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "closed", Max: 0, Window: time.Minute})))
	rec := get(e)
	var problem echo.ProblemError
	fmt.Println(rec.Header().Get("Content-Type"), json.Unmarshal(rec.Body.Bytes(), &problem))
	fmt.Println(problem.Status, problem.Title, problem.Detail)
	// Output:
	// application/problem+json <nil>
	// 429 Quota Exceeded Too many requests: retry in 60 s.
}

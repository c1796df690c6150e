package echomw_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// Clients of several generations are told in one response.
func ExampleHeaders() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "api", Max: 100, Window: 15 * time.Minute})

	e := echo.New()
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		Headers: echomw.HeadersDraft11 | echomw.HeadersLegacy,
	}))
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })

	header := call(e, "/", "198.51.100.7:40000").Header
	fmt.Println("RateLimit-Policy:", header.Get("RateLimit-Policy"))
	fmt.Println("RateLimit:", header.Get("RateLimit"))
	fmt.Println("X-RateLimit-Remaining:", header.Get("X-RateLimit-Remaining"))
	// Output:
	// RateLimit-Policy: "api";q=100;w=900
	// RateLimit: "api";r=99;t=900
	// X-RateLimit-Remaining: 99
}

func ExampleParseHeaders() {
	headers, err := echomw.ParseHeaders("legacy,draft-8")
	fmt.Println(headers, err)

	_, err = echomw.ParseHeaders("draft-5")
	fmt.Println(err)
	// Output:
	// draft-11, legacy <nil>
	// echomw: invalid configuration: ParseHeaders: a name is "draft-5"; allowed: "draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone
}

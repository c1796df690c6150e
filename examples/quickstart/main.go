// Command quickstart is the README's first code block: an Echo server whose instances
// share one limit.
package main

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func main() {
	e := echo.New()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}})
	if err != nil {
		e.Logger.Fatal(err)
	}
	defer client.Close()
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{})
	if err != nil {
		e.Logger.Fatal(err)
	}
	limiter, err := slidingwindow.New(store, slidingwindow.Limit{Name: "api", Max: 100, Window: 15 * time.Minute})
	if err != nil {
		e.Logger.Fatal(err)
	}

	e.Use(echomw.RateLimiter(limiter)) // keyed by the peer's IP address
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "hello\n") })
	e.Logger.Fatal(e.Start("127.0.0.1:8080"))
}

// Command quickstart is the README's first code block: an Echo server whose instances
// share one limit.
package main

import (
	"cmp"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/redisconn"
)

func main() {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}, DialCtxFn: redisconn.Dial})
	if err != nil {
		log.Fatal(err)
	}
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{})
	if err != nil {
		log.Fatal(err)
	}
	limiter := slidingwindow.MustNew(store, slidingwindow.Limit{Name: "api", Max: 100, Window: 15 * time.Minute})

	e := echo.New()
	e.GET("/healthz", func(c echo.Context) error { return c.NoContent(http.StatusOK) }) // not limited: probes come often
	api := e.Group("/api", echomw.RateLimiter(limiter))                                 // by the client's IP address
	api.GET("/hello", func(c echo.Context) error { return c.String(http.StatusOK, "hello\n") })
	log.Fatal(e.Start("127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080")))
}

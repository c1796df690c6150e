// Command server is what run.sh has real HTTP clients meet: an Echo server on a free port
// of 127.0.0.1 that allows two requests in any three seconds to each path, so that each
// client has a path, and a quota, of its own. It prints its URL, and then logs each request
// to standard error, when it has answered it:
//
//	/curl 429 3 0.01
//
// for the path, the status, Retry-After ("-" if there is none) and the seconds since
// the last request to that path.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// limit has a window that no client waits for without being told: their own first delays
// are a second at most.
var limit = slidingwindow.Limit{Name: "api", Max: 2, Window: 3 * time.Second}

func main() {
	log.SetFlags(0)
	handler, err := newHandler(&requestLog{last: map[string]time.Time{}})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.Serve(listener))
}

func newHandler(requests *requestLog) (http.Handler, error) {
	store := memory.New()
	limiter, err := slidingwindow.New(store, limit)
	if err != nil {
		return nil, err
	}
	limited, err := echomw.Config{Limiter: limiter, Key: echomw.KeyFunc(byPath)}.ToMiddleware()
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.Use(requests.middleware, limited)
	e.GET("/:client", func(c echo.Context) error { return c.String(http.StatusOK, "hello\n") })
	return e, nil
}

func byPath(c echo.Context) (string, error) { return c.Request().URL.Path, nil }

type requestLog struct {
	mu   sync.Mutex
	last map[string]time.Time // by path
}

// middleware is the outermost: it answers errors itself, to know the status.
func (l *requestLog) middleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		path, now := c.Request().URL.Path, time.Now()
		if err := next(c); err != nil {
			c.Error(err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		since := 0.0
		if last, ok := l.last[path]; ok {
			since = now.Sub(last).Seconds()
		}
		l.last[path] = now
		retryAfter := cmp.Or(c.Response().Header().Get(echo.HeaderRetryAfter), "-")
		log.Printf("%s %d %s %.2f", path, c.Response().Status, retryAfter, since)
		return nil
	}
}

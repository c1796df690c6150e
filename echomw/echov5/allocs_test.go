package echov5_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/echomw/echov5"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// discard is a ResponseWriter that allocates nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// server returns a function that serves one request, whose context can be cancelled as those of
// net/http.
func server(tb testing.TB, middleware ...echo.MiddlewareFunc) func() {
	e := echo.New()
	e.Use(middleware...)
	e.GET("/", func(c *echo.Context) error { return c.NoContent(http.StatusOK) })
	request := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/", nil)
	request.RemoteAddr = "198.51.100.7:40000"
	writer := &discard{header: make(http.Header)}
	return func() {
		clear(writer.header)
		e.ServeHTTP(writer, request)
	}
}

func limit() echo.MiddlewareFunc {
	// In a window this short hits leave as others come, as in a server that runs for long.
	return echov5.RateLimiter(slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "api", Max: 1_000_000_000, Window: 10 * time.Millisecond}))
}

// One is the text of RateLimit, one the record of the request. What keeps something on the context
// is subtracted: Echo uses its map again, but not always under the race detector.
func TestAllocationsOfAnAllowedRequest(t *testing.T) {
	keep := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			c.Set("tenant", "acme")
			return next(c)
		}
	}
	bare := testing.AllocsPerRun(500, server(t, keep))
	assert.LessOrEqual(t, testing.AllocsPerRun(500, server(t, keep, limit()))-bare, 2.0)
}

func BenchmarkMiddleware(b *testing.B) {
	for name, middleware := range map[string][]echo.MiddlewareFunc{"none": nil, "ratelimit": {limit()}} {
		b.Run(name, func(b *testing.B) {
			serve := server(b, middleware...)
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}

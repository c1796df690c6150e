package echomw_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// lastStatus is a ResponseWriter that keeps a status only, and allocates nothing.
type lastStatus struct {
	header http.Header
	status int
}

func (w *lastStatus) Header() http.Header         { return w.header }
func (w *lastStatus) Write(b []byte) (int, error) { return len(b), nil }
func (w *lastStatus) WriteHeader(status int)      { w.status = status }

// ours is this package's middleware on a MemoryStore, with its defaults.
func ours(b *testing.B, limit slidingwindow.Limit) echo.MiddlewareFunc {
	return echomw.RateLimiter(newLimiterOn(b, memory.New(), limit))
}

// echos is Echo's own middleware on its own memory store, with its defaults.
func echos(config middleware.RateLimiterMemoryStoreConfig) echo.MiddlewareFunc {
	return middleware.RateLimiter(middleware.NewRateLimiterMemoryStoreWithConfig(config))
}

// BenchmarkMiddleware compares what a request costs without a limiter, with this package's
// and with Echo's own: one client, by its address, on the system's clock. Each does what
// it does by default: ours keeps an exact log and tells the client in headers, Echo's
// counts tokens and sends no header.
func BenchmarkMiddleware(b *testing.B) {
	for _, outcome := range []struct {
		name   string
		status int
		ours   slidingwindow.Limit
		echos  middleware.RateLimiterMemoryStoreConfig
	}{
		// In a window this short hits leave as others come, as in a server that runs for
		// long: in a longer one, with a Max that never refuses, the log would only grow.
		{
			"allowed", http.StatusOK,
			slidingwindow.Limit{Name: "api", Max: 1_000_000_000, Window: 10 * time.Millisecond},
			middleware.RateLimiterMemoryStoreConfig{Rate: 1_000_000_000, Burst: 1_000_000_000},
		},
		{
			"refused", http.StatusTooManyRequests,
			slidingwindow.Limit{Name: "api", Max: 1, Window: 24 * time.Hour},
			middleware.RateLimiterMemoryStoreConfig{Rate: 1.0 / (24 * 60 * 60), Burst: 1},
		},
	} {
		for _, parallel := range []bool{false, true} {
			name := outcome.name
			if parallel {
				name += " in parallel"
			}
			b.Run(name, func(b *testing.B) {
				if outcome.status == http.StatusOK {
					b.Run("none", func(b *testing.B) { serveAgain(b, outcome.status, parallel) })
				}
				b.Run("ratelimit", func(b *testing.B) { serveAgain(b, outcome.status, parallel, ours(b, outcome.ours)) })
				b.Run("echo", func(b *testing.B) { serveAgain(b, outcome.status, parallel, echos(outcome.echos)) })
			})
		}
	}
}

// serveAgain measures one request, again and again, that is answered with the status
// each time but the first.
func serveAgain(b *testing.B, status int, parallel bool, limiter ...echo.MiddlewareFunc) {
	e := echo.New()
	e.Use(limiter...)
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	newServe := func() func() {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.RemoteAddr = peer
		writer := &lastStatus{header: make(http.Header)}
		return func() {
			clear(writer.header)
			e.ServeHTTP(writer, request)
			if writer.status != status {
				b.Errorf("status %d, not %d", writer.status, status)
			}
		}
	}
	first := httptest.NewRequest(http.MethodGet, "/", nil)
	first.RemoteAddr = peer
	e.ServeHTTP(httptest.NewRecorder(), first)

	b.ReportAllocs()
	if !parallel {
		serve := newServe()
		for b.Loop() {
			serve()
		}
		return
	}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		serve := newServe()
		for pb.Next() {
			serve()
		}
	})
}

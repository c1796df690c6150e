package echomw_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// discard is a ResponseWriter that allocates nothing, so that what is measured is
// the middleware.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func benchmark(b *testing.B, remoteAddr string, tick time.Duration, middleware func(testing.TB, *manualClock) []echo.MiddlewareFunc) {
	clock := newClock()
	e := echo.New()
	e.Use(middleware(b, clock)...)
	e.GET("/users/:id", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	req := httptest.NewRequest(http.MethodGet, "/users/1", nil)
	req.RemoteAddr = remoteAddr
	writer := &discard{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		clear(writer.header)
		clock.Advance(tick)
		e.ServeHTTP(writer, req)
	}
}

func limited(units int64, key echomw.Keyer) func(testing.TB, *manualClock) []echo.MiddlewareFunc {
	return func(t testing.TB, clock *manualClock) []echo.MiddlewareFunc {
		limiter := newLimiter(t, clock, slidingwindow.PerSecond(units))
		return []echo.MiddlewareFunc{echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, KeyFunc: key})}
	}
}

// passOn is the least that any middleware costs.
func passOn(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error { return next(c) }
}

func BenchmarkNoMiddleware(b *testing.B) {
	benchmark(b, peer, 0, func(testing.TB, *manualClock) []echo.MiddlewareFunc { return nil })
}

func BenchmarkBareMiddleware(b *testing.B) {
	benchmark(b, peer, 0, func(testing.TB, *manualClock) []echo.MiddlewareFunc { return []echo.MiddlewareFunc{passOn} })
}

func BenchmarkAllowed(b *testing.B) {
	byIP := echomw.KeyByIP(0)
	b.Run("IPv4", func(b *testing.B) { benchmark(b, peer, 100*time.Millisecond, limited(100, byIP)) })
	b.Run("IPv6", func(b *testing.B) { benchmark(b, "[2001:db8::1]:443", 100*time.Millisecond, limited(100, byIP)) })
	b.Run("IP and route", func(b *testing.B) {
		benchmark(b, peer, 100*time.Millisecond, limited(100, echomw.Join(byIP, echomw.KeyByRoute())))
	})
}

func BenchmarkRefused(b *testing.B) {
	benchmark(b, peer, 0, limited(1, nil))
}

// The text of RateLimit and the lists that hold it and RateLimit-Policy are two
// allocations; the key of an IPv6 network is the third, and that of IPv4 is none.
func TestAllocationsOfAnAllowedRequest(t *testing.T) {
	measure := func(remoteAddr string, middleware echo.MiddlewareFunc) float64 {
		e := echo.New()
		e.Use(middleware)
		e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.RemoteAddr = remoteAddr
		writer := &discard{header: make(http.Header)}
		return testing.AllocsPerRun(200, func() {
			clear(writer.header)
			e.ServeHTTP(writer, req)
		})
	}
	store := &stubStore{decision: slidingwindow.NewDecision(1, slidingwindow.Status{Limit: api(1e6), Remaining: 12345, ResetAfter: time.Minute})}
	limit := echomw.RateLimiter(newLimiterOn(t, store, api(1e6)))
	bare := measure(peer, passOn)
	assert.LessOrEqual(t, measure(peer, limit)-bare, 2.0)
	assert.LessOrEqual(t, measure("[2001:db8::1]:443", limit)-bare, 3.0)
}

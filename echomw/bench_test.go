package echomw_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
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
		return []echo.MiddlewareFunc{echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, Key: key})}
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

// headerSets are the formats, first each by itself, then all.
var headerSets = []echomw.Headers{
	echomw.HeadersNone, echomw.HeadersDraft11, echomw.HeadersDraft7, echomw.HeadersDraft6, echomw.HeadersLegacy,
	echomw.HeadersDraft11 | echomw.HeadersDraft6 | echomw.HeadersLegacy,
}

// steadyStore allows every call, always with the same numbers, and costs nothing.
func steadyStore() *stubStore {
	return &stubStore{decision: slidingwindow.NewDecision(1, slidingwindow.Status{Limit: api(1e6), Remaining: 12345, ReplenishAfter: time.Minute})}
}

// setOnContext keeps something on the echo.Context, as most applications do: the map that
// this takes two allocations for is not then the headers'.
func setOnContext(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Set("tenant", peer)
		return next(c)
	}
}

// What the headers of an allowed request cost is the difference to "none".
func BenchmarkHeaders(b *testing.B) {
	for _, set := range headerSets {
		b.Run(strings.ReplaceAll(set.String(), ", ", "+"), func(b *testing.B) {
			benchmark(b, peer, 0, func(t testing.TB, _ *manualClock) []echo.MiddlewareFunc {
				return []echo.MiddlewareFunc{setOnContext, withHeaders(newLimiterOn(t, steadyStore(), api(1e6)), set)}
			})
		})
	}
}

// allocations of a request, whose response has room for all headers already.
func allocations(remoteAddr string, middleware ...echo.MiddlewareFunc) float64 {
	return allocationsWithin(context.Background(), remoteAddr, middleware...)
}

func allocationsWithin(ctx context.Context, remoteAddr string, middleware ...echo.MiddlewareFunc) float64 {
	e := echo.New()
	e.Use(middleware...)
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	req.RemoteAddr = remoteAddr
	writer := &discard{header: make(http.Header)}
	return testing.AllocsPerRun(200, func() {
		clear(writer.header)
		e.ServeHTTP(writer, req)
	})
}

// The text of RateLimit is one allocation; the key of an IPv6 network is another, and that
// of IPv4 is none. The record of the request on the echo.Context, which has the rest, is
// one, and two more where nothing was on it yet: they are for Echo's map.
func TestAllocationsOfAnAllowedRequest(t *testing.T) {
	limit := echomw.RateLimiter(newLimiterOn(t, steadyStore(), api(1e6)))
	bare := allocations(peer, passOn)
	assert.LessOrEqual(t, allocations(peer, limit)-bare, 4.0)
	bare = allocations(peer, setOnContext, passOn)
	assert.LessOrEqual(t, allocations(peer, setOnContext, limit)-bare, 2.0)
	assert.LessOrEqual(t, allocations("[2001:db8::1]:443", setOnContext, limit)-bare, 3.0)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	assert.LessOrEqual(t, allocationsWithin(ctx, peer, setOnContext, limit)-allocationsWithin(ctx, peer, setOnContext, passOn), 2.0,
		"net/http's contexts can be cancelled")
}

// The third allocation is what the next limiter of the route is told. Lists do not need it.
func TestAllocationsOfHeadersInEachFormat(t *testing.T) {
	cost := func(set echomw.Headers) float64 {
		return allocations(peer, setOnContext, withHeaders(newLimiterOn(t, steadyStore(), api(1e6)), set))
	}
	none := cost(echomw.HeadersNone)
	for _, set := range headerSets {
		assert.LessOrEqual(t, cost(set)-none, 3.0, set)
	}
}

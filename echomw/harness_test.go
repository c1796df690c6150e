package echomw_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const peer = "198.51.100.7:40000"

type manualClock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *manualClock {
	return &manualClock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newLimiter(t testing.TB, clock *manualClock, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	store, err := memory.NewWithConfig(memory.Config{Clock: clock.Now})
	require.NoError(t, err)
	return newLimiterOn(t, store, limits...)
}

func newLimiterOn(t testing.TB, store slidingwindow.Store, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	limiter, err := slidingwindow.New(store, limits...)
	require.NoError(t, err)
	return limiter
}

// api is the limit of most tests: some units in 15 minutes.
func api(units int64) slidingwindow.Limit {
	return slidingwindow.Limit{Name: "api", Max: units, Window: 15 * time.Minute}
}

// stubStore answers every call alike and remembers the last one.
type stubStore struct {
	decision slidingwindow.Decision
	err      error

	calls int
	asked func(context.Context)
	ctx   context.Context
	key   string

	refundErr error
	refunds   int
}

func (s *stubStore) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	s.calls++
	s.ctx, s.key = ctx, req.Key
	if s.asked != nil {
		s.asked(ctx)
	}
	return s.decision, s.err
}

func (s *stubStore) Settle(context.Context, string, slidingwindow.Decision, []int64) error {
	s.refunds++
	return s.refundErr
}

func (s *stubStore) Reset(context.Context, string, []slidingwindow.Limit) error { return s.err }

// newEcho serves GET, HEAD and POST of /users/:id with 200 behind the middleware.
func newEcho(middleware ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.Use(middleware...)
	e.Match([]string{http.MethodGet, http.MethodHead, http.MethodPost}, "/users/:id", func(c echo.Context) error {
		return c.String(http.StatusOK, "served")
	})
	return e
}

type requestOption func(*http.Request)

func from(remoteAddr string) requestOption {
	return func(r *http.Request) { r.RemoteAddr = remoteAddr }
}

func header(name string, values ...string) requestOption {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func do(e *echo.Echo, method, target string, options ...requestOption) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, nil)
	req.RemoteAddr = peer
	for _, option := range options {
		option(req)
	}
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	return rec
}

func get(e *echo.Echo, options ...requestOption) *httptest.ResponseRecorder {
	return do(e, http.MethodGet, "/users/1", options...)
}

// spy is an outer middleware that keeps the error which the inner ones returned.
func spy(seen *error) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			*seen = next(c)
			return *seen
		}
	}
}

func decodeJSON(t *testing.T, rec *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var body map[string]any
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &body), "body: %s", rec.Body)
	return body
}

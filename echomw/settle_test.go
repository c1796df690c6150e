package echomw_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// outcomes are ways for a request to end, by whether it failed.
var outcomes = map[string]struct {
	handler echo.HandlerFunc
	status  int // that CountIf is told
	failed  bool
	unclear bool // counts in any case
}{
	"200":                {func(c echo.Context) error { return c.String(200, "ok") }, 200, false, false},
	"nothing written":    {func(echo.Context) error { return nil }, 200, false, false},
	"302":                {func(c echo.Context) error { return c.Redirect(302, "/") }, 302, false, false},
	"304":                {func(c echo.Context) error { return c.NoContent(304) }, 304, false, false},
	"399":                {func(c echo.Context) error { return c.NoContent(399) }, 399, false, false},
	"400":                {func(c echo.Context) error { return c.NoContent(400) }, 400, true, false},
	"401":                {func(c echo.Context) error { return c.JSON(401, "no") }, 401, true, false},
	"500":                {func(c echo.Context) error { return c.NoContent(500) }, 500, true, false},
	"HTTP error 401":     {func(echo.Context) error { return echo.ErrUnauthorized }, 401, true, false},
	"HTTP error 302":     {func(echo.Context) error { return echo.NewHTTPError(302, "there") }, 302, false, false},
	"HTTP error, inner":  {func(echo.Context) error { return echo.NewHTTPError(200).SetInternal(echo.ErrNotFound) }, 404, true, false},
	"wrapped HTTP error": {func(echo.Context) error { return fmt.Errorf("login: %w", echo.ErrUnauthorized) }, 500, true, false}, // as Echo sends it
	"wrapped 302":        {func(echo.Context) error { return fmt.Errorf("login: %w", echo.NewHTTPError(302)) }, 500, true, false},
	"plain error":        {func(echo.Context) error { return errors.New("broken") }, 500, true, false},
	"error after a 200": {func(c echo.Context) error {
		return errors.Join(c.String(200, "half"), errors.New("broken"))
	}, 200, false, true},
	"panic": {func(echo.Context) error { panic("at the disco") }, 500, true, false},
	"panic after a 200": {func(c echo.Context) error {
		_ = c.String(200, "half")
		panic("at the disco")
	}, 200, false, true},
	"abort": {func(echo.Context) error { panic(http.ErrAbortHandler) }, 500, true, false},
}

// serveOutcome serves one request, in whose place panics are caught as net/http does.
func serveOutcome(t *testing.T, handler echo.HandlerFunc, config echomw.Config, options ...requestOption) (panicked any) {
	t.Helper()
	middleware, err := config.ToMiddleware()
	require.NoError(t, err)
	e := echo.New()
	e.GET("/users/:id", handler, middleware)
	defer func() { panicked = recover() }()
	get(e, options...)
	return nil
}

func left(t *testing.T, l *slidingwindow.Limiter) int64 {
	t.Helper()
	d, err := l.Peek(t.Context(), "198.51.100.7")
	require.NoError(t, err)
	return d.Remaining
}

func TestWhatCounts(t *testing.T) {
	for name, outcome := range outcomes {
		t.Run(name, func(t *testing.T) {
			counted := func(config echomw.Config) bool {
				t.Helper()
				config.Limiter = newLimiter(t, newClock(), api(10), slidingwindow.PerMinute(10))
				config.Cost = func(echo.Context) (int64, error) { return 4, nil }
				panicked := serveOutcome(t, outcome.handler, config)
				assert.Equal(t, strings.HasPrefix(name, "panic") || name == "abort", panicked != nil, "a panic goes on")
				switch remaining := left(t, config.Limiter); remaining {
				case 6:
					return true
				case 10:
					return false
				default:
					t.Errorf("%d units are left of 10 after a request of 4", remaining)
					return false
				}
			}
			assert.True(t, counted(echomw.Config{}))
			assert.Equal(t, !outcome.failed || outcome.unclear, counted(echomw.Config{SkipFailed: true}))
			assert.Equal(t, outcome.failed || outcome.unclear, counted(echomw.Config{SkipSuccessful: true}))
			for _, counts := range []bool{true, false} {
				status := 0
				assert.Equal(t, counts, counted(echomw.Config{CountIf: func(c echo.Context, err error) bool {
					status = echomw.ResponseStatus(c, err)
					return counts
				}}))
				assert.Equal(t, outcome.status, status)
			}
		})
	}
}

// countsAs serves a request whose context can be ended, and tells whether it was counted.
func countsAs(t *testing.T, config echomw.Config, handler func(c echo.Context, end context.CancelFunc) error, inner ...echo.MiddlewareFunc) bool {
	t.Helper()
	config.Limiter = newLimiter(t, newClock(), api(10))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := newEcho()
	e.Use(append([]echo.MiddlewareFunc{echomw.RateLimiterWithConfig(config)}, inner...)...)
	e.GET("/orders", func(c echo.Context) error { return handler(c, cancel) })
	do(e, http.MethodGet, "/orders", func(r *http.Request) { *r = *r.WithContext(ctx) })
	return left(t, config.Limiter) == 9
}

func TestEndedContexts(t *testing.T) {
	ok := func(c echo.Context, _ context.CancelFunc) error { return c.String(200, "ok") }
	late := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			// As Echo's Timeout, which answers by itself and returns no error.
			ctx, done := context.WithDeadline(c.Request().Context(), time.Unix(0, 0))
			defer done()
			c.SetRequest(c.Request().WithContext(ctx))
			return next(c)
		}
	}
	for name, test := range map[string]struct {
		handler func(c echo.Context, end context.CancelFunc) error
		inner   []echo.MiddlewareFunc
		failed  bool
		unclear bool
	}{
		"client went away before an answer": {func(c echo.Context, end context.CancelFunc) error {
			end()
			return nil
		}, nil, true, false},
		"client went away, and the handler noticed": {func(c echo.Context, end context.CancelFunc) error {
			end()
			return c.Request().Context().Err()
		}, nil, true, false},
		// A client that has said all and closed its side gets the whole answer: it must not
		// be a way around the limit.
		"client closed its side and was answered": {func(c echo.Context, end context.CancelFunc) error {
			end()
			return c.String(200, "ok")
		}, nil, false, true},
		"client went away after the answer": {func(c echo.Context, end context.CancelFunc) error {
			defer end()
			return c.String(200, "ok")
		}, nil, false, true},
		"timeout further in that was met":                            {ok, []echo.MiddlewareFunc{middleware.ContextTimeout(time.Minute)}, false, false},
		"timeout further in that was not met, answered all the same": {ok, []echo.MiddlewareFunc{late}, false, false},
		"timeout further in that the handler obeys": {func(c echo.Context, _ context.CancelFunc) error {
			return c.Request().Context().Err()
		}, []echo.MiddlewareFunc{late}, true, false},
	} {
		assert.Equal(t, !test.failed || test.unclear, countsAs(t, echomw.Config{SkipFailed: true}, test.handler, test.inner...), name)
		assert.Equal(t, test.failed || test.unclear, countsAs(t, echomw.Config{SkipSuccessful: true}, test.handler, test.inner...), name)
	}
}

func TestHalfClosedConnectionIsCounted(t *testing.T) {
	limiter := newLimiter(t, newClock(), api(3))
	serving := make(chan struct{})
	e := echo.New()
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, SkipFailed: true, Key: constant("k")}))
	e.GET("/", func(c echo.Context) error {
		serving <- struct{}{}
		<-c.Request().Context().Done() // net/http has seen the end of what the client sends
		return c.String(200, "served")
	})
	server := httptest.NewServer(e)
	defer server.Close()
	for _, want := range []int{200, 200, 200, 429, 429} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		require.NoError(t, err)
		if want == 200 {
			<-serving
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		assert.Equal(t, want, res.StatusCode)
		_ = res.Body.Close()
		_ = conn.Close()
	}
}

func TestRefusedRequestsAreNotGivenBack(t *testing.T) {
	limiter := newLimiter(t, newClock(), api(1))
	for _, config := range []echomw.Config{
		{Limiter: limiter, SkipFailed: true}, {Limiter: limiter, SkipSuccessful: true},
		{Limiter: limiter, CountIf: func(echo.Context, error) bool { t.Error("asked about a refused request"); return false }},
	} {
		require.NoError(t, limiter.Reset(t.Context(), "198.51.100.7"))
		_, err := limiter.Allow(t.Context(), "198.51.100.7")
		require.NoError(t, err)
		for range 3 {
			assert.Equal(t, 429, get(newEcho(echomw.RateLimiterWithConfig(config))).Code)
		}
		assert.Zero(t, left(t, limiter))
	}
}

func TestHeadersTellWhatARequestTookWhileItWasServed(t *testing.T) {
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{Limiter: newLimiter(t, newClock(), api(10)), SkipSuccessful: true}))
	for range 3 {
		assert.Equal(t, `"api";r=9;t=900`, get(e).Header().Get("RateLimit"))
	}
}

func TestRequestsBeingServedCount(t *testing.T) {
	limiter := newLimiter(t, newClock(), api(1))
	e := echo.New()
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, SkipSuccessful: true}))
	e.GET("/users/:id", func(c echo.Context) error {
		assert.Zero(t, left(t, limiter))
		return c.NoContent(200)
	})
	get(e)
	assert.EqualValues(t, 1, left(t, limiter))
}

// A limiter further out gives back what it took for a request that one further in refuses.
func TestRefusalFurtherInIsAFailure(t *testing.T) {
	clock := newClock()
	outer := newLimiter(t, clock, api(10))
	inner := newLimiter(t, clock, slidingwindow.Limit{Name: "inner", Max: 1, Window: time.Minute})
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{Limiter: outer, SkipFailed: true}), echomw.RateLimiter(inner))
	assert.Equal(t, 200, get(e).Code)
	for range 5 {
		assert.Equal(t, 429, get(e).Code)
	}
	assert.EqualValues(t, 9, left(t, outer))

	// Nor does it count as a failed login: the request did not get that far.
	for _, config := range []echomw.Config{{}, {RefusalHandler: func(c echo.Context, _ slidingwindow.Decision) error { return c.NoContent(429) }}} {
		guesses := newLimiter(t, clock, api(10))
		config.Limiter = newLimiter(t, clock, slidingwindow.Limit{Name: "inner", Max: 0, Window: time.Minute})
		e = newEcho(echomw.RateLimiterWithConfig(echomw.Config{Limiter: guesses, SkipSuccessful: true}), echomw.RateLimiterWithConfig(config))
		assert.Equal(t, 429, get(e).Code)
		assert.EqualValues(t, 10, left(t, guesses))
	}
}

func TestLoginThatCountsFailuresOnly(t *testing.T) {
	clock := newClock()
	e := echo.New()
	e.POST("/login", func(c echo.Context) error {
		if c.QueryParam("password") != "right" {
			return echo.ErrUnauthorized
		}
		return c.NoContent(http.StatusNoContent)
	}, echomw.RateLimiterWithConfig(echomw.Config{
		Limiter:        newLimiter(t, clock, slidingwindow.Limit{Name: "login", Max: 3, Window: 10 * time.Minute}),
		SkipSuccessful: true,
	}))
	login := func(password string) int { return do(e, http.MethodPost, "/login?password="+password).Code }
	for range 20 {
		require.Equal(t, 204, login("right"), "who knows the password is never limited")
	}
	for range 2 {
		require.Equal(t, 401, login("guess"))
		require.Equal(t, 204, login("right"))
		clock.Advance(time.Minute)
	}
	require.Equal(t, 401, login("guess"))
	clock.Advance(time.Minute)
	assert.Equal(t, 429, login("guess"))
	assert.Equal(t, 429, login("right"), "and does not open the door for guesses")
	clock.Advance(7 * time.Minute)
	assert.Equal(t, 204, login("right"))
	assert.Equal(t, 401, login("guess"))
	assert.Equal(t, 429, login("guess"))
}

func TestFailingRefundsAreLoggedOnceAMinute(t *testing.T) {
	var log strings.Builder
	store := &stubStore{
		decision:  slidingwindow.NewDecision(1, slidingwindow.Status{Limit: api(9), Remaining: 8, ReplenishAfter: time.Minute, Receipt: 1}),
		refundErr: slidingwindow.ErrStoreUnavailable,
	}
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiterOn(t, store, api(9)), SkipSuccessful: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}))
	for range 3 {
		assert.Equal(t, 200, get(e).Code, "the request was served")
	}
	assert.Equal(t, 3, store.refunds)
	assert.Equal(t, 1, strings.Count(log.String(), "\n"))
	assert.Contains(t, log.String(), "level=WARN msg=\"echomw: what requests took cannot be given back")
	assert.Contains(t, log.String(), "store unavailable")
	assert.NotContains(t, log.String(), "198.51.100.7")

}

func TestResponseStatusOfANilHTTPError(t *testing.T) {
	c := echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder())
	var none *echo.HTTPError
	assert.Equal(t, 500, echomw.ResponseStatus(c, none))
	assert.Equal(t, 401, echomw.ResponseStatus(c, &echo.HTTPError{Code: 401, Internal: none}))
	assert.Equal(t, 200, echomw.ResponseStatus(c, nil))
}

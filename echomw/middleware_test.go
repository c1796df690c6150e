package echomw_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestAllowsUntilTheLimitAndAgainAfterTheWindow(t *testing.T) {
	clock := newClock()
	e := newEcho(echomw.RateLimiter(newLimiter(t, clock, api(2))))

	assert.Equal(t, http.StatusOK, get(e).Code)
	clock.Advance(time.Minute)
	assert.Equal(t, http.StatusOK, get(e).Code)
	refused := get(e)
	assert.Equal(t, http.StatusTooManyRequests, refused.Code)
	assert.NotContains(t, refused.Body.String(), "served")
	assert.Equal(t, http.StatusOK, get(e, from("198.51.100.8:40000")).Code, "another client")

	clock.Advance(14 * time.Minute)
	assert.Equal(t, http.StatusOK, get(e).Code)
	assert.Equal(t, http.StatusTooManyRequests, get(e).Code)
}

func TestHandlerErrorIsReturnedUnchanged(t *testing.T) {
	teapot := echo.NewHTTPError(http.StatusTeapot)
	var seen error
	e := echo.New()
	e.Use(spy(&seen), echomw.RateLimiter(newLimiter(t, newClock(), api(1))))
	e.GET("/users/:id", func(echo.Context) error { return teapot })

	rec := get(e)
	assert.Equal(t, http.StatusTeapot, rec.Code)
	assert.Same(t, teapot, seen)
	assert.Equal(t, `"api";r=0;t=900`, rec.Header().Get("RateLimit"))
}

func TestSkipperPassesOnUncountedAndWithoutHeaders(t *testing.T) {
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Skipper: func(c echo.Context) bool { return c.QueryParam("skip") != "" },
	}))
	for range 3 {
		rec := do(e, http.MethodGet, "/users/1?skip=1")
		assert.Equal(t, http.StatusOK, rec.Code)
		assert.Empty(t, rec.Header().Values("RateLimit"))
		assert.Empty(t, rec.Header().Values("RateLimit-Policy"))
	}
	assert.Equal(t, http.StatusOK, get(e).Code, "the skipped requests took no units")
	assert.Equal(t, http.StatusTooManyRequests, get(e).Code)
}

func TestSkippedRequestNeedsNoKey(t *testing.T) {
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Skipper: func(echo.Context) bool { return true },
		Key:     echomw.KeyFunc(func(echo.Context) (string, error) { return "", errors.New("not to be asked") }),
	}))
	assert.Equal(t, http.StatusOK, get(e).Code)
}

func TestLimiterGetsTheContextOfTheRequest(t *testing.T) {
	type contextKey struct{}
	store := &stubStore{decision: slidingwindow.NewDecision(1, slidingwindow.Status{Limit: api(1)})}
	e := newEcho(echomw.RateLimiter(newLimiterOn(t, store, api(1))))

	rec := get(e, func(r *http.Request) {
		*r = *r.WithContext(context.WithValue(r.Context(), contextKey{}, "here"))
	})
	assert.Equal(t, http.StatusOK, rec.Code)
	require.NotNil(t, store.ctx)
	assert.Equal(t, "here", store.ctx.Value(contextKey{}))
	assert.Equal(t, 1, store.calls)
}

func TestOuterMiddlewareSeesTheRefusal(t *testing.T) {
	var seen error
	e := newEcho(spy(&seen), echomw.RateLimiter(newLimiter(t, newClock(), api(1))))

	get(e)
	require.NoError(t, seen)
	rec := get(e)

	var httpError *echo.HTTPError
	require.ErrorAs(t, seen, &httpError)
	assert.Equal(t, rec.Code, httpError.Code)
	var refused *echomw.RefusedError
	require.ErrorAs(t, seen, &refused)
	assert.Equal(t, "api", refused.Decision.Limit.Name)
	assert.Equal(t, 15*time.Minute, refused.Decision.RetryAfter)
	assert.EqualError(t, refused, "echomw: refused by api")
	assert.EqualError(t, seen, "code=429, message=Quota Exceeded. Too many requests: retry in 900 s., internal=echomw: refused by api")
}

func TestStoreErrorIs503AndNeverServed(t *testing.T) {
	down := fmt.Errorf("%w: dial tcp 192.0.2.1:6379: connection refused", slidingwindow.ErrStoreUnavailable)
	for name, cause := range map[string]error{
		"unavailable": down,
		"foreign":     slidingwindow.ErrForeignData,
		"cancelled":   context.Canceled,
		"deadline":    context.DeadlineExceeded,
		"unknown":     errors.New("192.0.2.1 is on fire"),
	} {
		for _, debug := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/debug=%t", name, debug), func(t *testing.T) {
				var seen error
				// Even a Decision that says Allowed does not count next to an error.
				store := &stubStore{err: cause, decision: slidingwindow.Decision{Allowed: true}}
				e := newEcho(spy(&seen), echomw.RateLimiter(newLimiterOn(t, store, api(1))))
				e.Debug = debug

				rec := get(e)
				assert.Equal(t, http.StatusServiceUnavailable, rec.Code)
				assert.JSONEq(t, `{"message":"Service Unavailable"}`, rec.Body.String())
				assert.Equal(t, echo.MIMEApplicationJSON, rec.Header().Get("Content-Type"))
				require.ErrorIs(t, seen, cause)
				var httpError *echo.HTTPError
				require.ErrorAs(t, seen, &httpError)
				assert.Equal(t, http.StatusServiceUnavailable, httpError.Code)
				assert.Equal(t, []string{"1"}, rec.Header().Values("Retry-After"))
				for _, field := range []string{"RateLimit", "RateLimit-Policy"} {
					assert.Empty(t, rec.Header().Values(field), field)
				}
			})
		}
	}
}

func TestKeyFailures(t *testing.T) {
	plain := errors.New("no session for user 4711")
	unauthorized := echo.NewHTTPError(http.StatusUnauthorized, "who are you?")
	for name, test := range map[string]struct {
		key    string
		err    error
		status int
		body   string
		noKey  bool
	}{
		"plain error":        {err: plain, status: http.StatusForbidden, body: `{"message":"Forbidden"}`, noKey: true},
		"empty key":          {status: http.StatusForbidden, body: `{"message":"Forbidden"}`, noKey: true},
		"HTTP error":         {err: unauthorized, status: http.StatusUnauthorized, body: `{"message":"who are you?"}`},
		"wrapped HTTP error": {err: fmt.Errorf("session: %w", unauthorized), status: http.StatusUnauthorized, body: `{"message":"who are you?"}`, noKey: true},
		"HTTP error 400":     {err: echo.ErrBadRequest, status: http.StatusBadRequest, body: `{"message":"Bad Request"}`},
		"HTTP error 429":     {err: echo.ErrTooManyRequests, status: http.StatusTooManyRequests, body: `{"message":"Too Many Requests"}`},
		"HTTP error 599":     {err: echo.NewHTTPError(599, "odd"), status: 599, body: `{"message":"odd"}`},
		"key and error":      {key: "k", err: plain, status: http.StatusForbidden, body: `{"message":"Forbidden"}`, noKey: true},
	} {
		t.Run(name, func(t *testing.T) {
			var seen error
			store := &stubStore{}
			e := newEcho(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
				Limiter: newLimiterOn(t, store, api(1)),
				Key:     echomw.KeyFunc(func(echo.Context) (string, error) { return test.key, test.err }),
			}))

			rec := get(e)
			assert.Equal(t, test.status, rec.Code)
			assert.JSONEq(t, test.body, rec.Body.String())
			assert.Equal(t, test.noKey, errors.Is(seen, echomw.ErrNoKey))
			if test.err != nil {
				require.ErrorIs(t, seen, test.err)
			}
			assert.Zero(t, store.calls)
		})
	}
}

// What a KeyFunc returns by mistake must not look like success, or like a refusal by the
// limiter.
func TestHTTPErrorThatIsNoFailureBecomesA403(t *testing.T) {
	var none *echo.HTTPError
	ok := echo.NewHTTPError(http.StatusOK, "fine")
	for name, test := range map[string]struct {
		err     error
		wrapped bool // is in what is returned
	}{
		"nil":                      {none, false},
		"nil, wrapped":             {fmt.Errorf("session: %w", none), false},
		"nil, joined":              {errors.Join(echo.ErrUnauthorized, none), false},
		"nil, inside of another":   {&echo.HTTPError{Code: http.StatusUnauthorized, Internal: none}, false},
		"200":                      {ok, true},
		"200, wrapped":             {fmt.Errorf("session: %w", ok), true},
		"200 for no key":           {&echo.HTTPError{Code: http.StatusOK, Internal: echomw.ErrNoKey}, true},
		"302":                      {echo.NewHTTPError(http.StatusFound), true},
		"0":                        {&echo.HTTPError{Message: "no status"}, true},
		"no status of HTTP at all": {echo.NewHTTPError(1000), true},
		"399":                      {echo.NewHTTPError(399), true},
		"600":                      {echo.NewHTTPError(600), true},
	} {
		t.Run(name, func(t *testing.T) {
			var seen error
			store := &stubStore{decision: slidingwindow.Decision{Allowed: true}}
			e := newEcho(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
				Limiter: newLimiterOn(t, store, api(1)),
				Key:     echomw.KeyFunc(func(echo.Context) (string, error) { return "", test.err }),
			}))

			rec := get(e)
			assert.Equal(t, http.StatusForbidden, rec.Code)
			assert.JSONEq(t, `{"message":"Forbidden"}`, rec.Body.String())
			require.ErrorIs(t, seen, echomw.ErrNoKey)
			assert.Equal(t, test.wrapped, errors.Is(seen, test.err))
			if !test.wrapped {
				assert.ErrorContains(t, seen, "a nil pointer was returned as an error: ")
			}
			assert.Zero(t, store.calls)
		})
	}
}

// Echo's default handler answers with an HTTPError that is right inside of another.
func TestStatusOfAnInnerHTTPErrorMustBeAFailureToo(t *testing.T) {
	for inner, status := range map[int]int{http.StatusOK: http.StatusUnauthorized, http.StatusNotFound: http.StatusNotFound} {
		outer := echo.NewHTTPError(http.StatusUnauthorized).SetInternal(echo.NewHTTPError(inner))
		e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
			Limiter: newLimiter(t, newClock(), api(1)),
			Key:     echomw.KeyFunc(func(echo.Context) (string, error) { return "", outer }),
		}))
		assert.Equal(t, status, get(e).Code)
	}
}

func TestKeyFailureShowsNoCauseWithDebug(t *testing.T) {
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Key:     echomw.KeyFunc(func(echo.Context) (string, error) { return "", errors.New("no session for user 4711") }),
	}))
	e.Debug = true
	assert.NotContains(t, get(e).Body.String(), "4711")
}

func TestErrorHandler(t *testing.T) {
	other := errors.New("other")
	for name, test := range map[string]struct {
		handle func(c echo.Context, err error) error
		status int
		body   string
	}{
		"returns its error":           {func(_ echo.Context, err error) error { return err }, 503, "Service Unavailable"},
		"returns another":             {func(echo.Context, error) error { return other }, 500, "Internal Server Error"},
		"responds":                    {func(c echo.Context, _ error) error { return c.String(502, "mine") }, 502, "mine"},
		"responds without a body":     {func(c echo.Context, _ error) error { return c.NoContent(504) }, 504, ""},
		"does nothing, returning nil": {func(echo.Context, error) error { return nil }, 503, "Service Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			var given, seen error
			store := &stubStore{err: slidingwindow.ErrStoreUnavailable}
			e := newEcho(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
				Limiter: newLimiterOn(t, store, api(1)),
				ErrorHandler: func(c echo.Context, err error) error {
					given = err
					return test.handle(c, err)
				},
			}))

			rec := get(e)
			assert.Equal(t, test.status, rec.Code)
			assert.Contains(t, rec.Body.String(), test.body)
			assert.NotContains(t, rec.Body.String(), "served")
			assert.Equal(t, strings.HasPrefix(name, "responds"), seen == nil, "an answered request is no error")
			require.ErrorIs(t, given, slidingwindow.ErrStoreUnavailable)
			var httpError *echo.HTTPError
			require.ErrorAs(t, given, &httpError)
		})
	}
}

func TestErrorHandlerGetsKeyErrors(t *testing.T) {
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Key:     echomw.KeyByHeader("X-API-Key"),
		ErrorHandler: func(c echo.Context, err error) error {
			if errors.Is(err, echomw.ErrNoKey) {
				return c.String(http.StatusUnprocessableEntity, "no key")
			}
			return err
		},
	}))
	assert.Equal(t, http.StatusUnprocessableEntity, get(e).Code)
}

func TestUnmatchedRoutesAreLimitedToo(t *testing.T) {
	e := newEcho(echomw.RateLimiter(newLimiter(t, newClock(), api(2))))
	assert.Equal(t, http.StatusNotFound, do(e, http.MethodGet, "/nowhere").Code)
	assert.Equal(t, http.StatusMethodNotAllowed, do(e, http.MethodDelete, "/users/1").Code)
	assert.Equal(t, http.StatusTooManyRequests, do(e, http.MethodGet, "/nowhere/else").Code)
}

func TestCommittedResponseIsLeftAlone(t *testing.T) {
	e := newEcho(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if err := c.String(http.StatusAccepted, "early"); err != nil {
				return err
			}
			return next(c)
		}
	}, echomw.RateLimiter(newLimiter(t, newClock(), api(0))))
	server := httptest.NewServer(e)
	defer server.Close()

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/users/1", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusAccepted, res.StatusCode)
	assert.Equal(t, "early", string(body))
	assert.Empty(t, res.Header.Values("RateLimit"))
	assert.Empty(t, res.Trailer)
}

func TestConcurrentRequestsShareOneQuota(t *testing.T) {
	const limit, goroutines, each = 50, 8, 25
	e := newEcho(echomw.RateLimiter(newLimiter(t, newClock(), api(limit))))
	var served, refused atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				switch get(e).Code {
				case http.StatusOK:
					served.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, limit, served.Load())
	assert.EqualValues(t, goroutines*each-limit, refused.Load())
}

// cors does what Echo's CORS middleware does to a simple request.
func cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderAccessControlAllowOrigin, "*")
		h.Set(echo.HeaderAccessControlExposeHeaders, "RateLimit,RateLimit-Policy,Retry-After")
		return next(c)
	}
}

func TestCORSBeforeTheLimiterLeavesARefusalReadable(t *testing.T) {
	e := newEcho(cors, echomw.RateLimiter(newLimiter(t, newClock(), api(0))))
	rec := get(e)
	assert.Equal(t, http.StatusTooManyRequests, rec.Code)
	assert.Equal(t, "*", rec.Header().Get(echo.HeaderAccessControlAllowOrigin))
	assert.Equal(t, "RateLimit,RateLimit-Policy,Retry-After", rec.Header().Get(echo.HeaderAccessControlExposeHeaders))

	e = newEcho(echomw.RateLimiter(newLimiter(t, newClock(), api(0))), cors)
	assert.Empty(t, get(e).Header().Get(echo.HeaderAccessControlAllowOrigin), "the order that the package warns of")
}

package echomw_test

import (
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

func TestHeadersOfAllowedRequestsAndOfARefusal(t *testing.T) {
	clock := newClock()
	e := newEcho(echomw.RateLimiter(newLimiter(t, clock, api(2))))
	step := func(status int, rateLimit, retryAfter string) {
		t.Helper()
		rec := get(e)
		assert.Equal(t, status, rec.Code)
		assert.Equal(t, []string{`"api";q=2;w=900`}, rec.Header().Values("RateLimit-Policy"))
		assert.Equal(t, []string{rateLimit}, rec.Header().Values("RateLimit"))
		assert.Equal(t, retryAfter, rec.Header().Get("Retry-After"))
	}
	step(http.StatusOK, `"api";r=1;t=900`, "")
	clock.Advance(100*time.Second + time.Millisecond)
	step(http.StatusOK, `"api";r=0;t=800`, "")
	step(http.StatusTooManyRequests, `"api";r=0;t=800`, "800")
	clock.Advance(799 * time.Second)
	step(http.StatusTooManyRequests, `"api";r=0;t=1`, "1")
	clock.Advance(time.Second)
	step(http.StatusOK, `"api";r=0;t=100`, "")
}

func TestHeadersAreSetBeforeTheHandlerWrites(t *testing.T) {
	e := echo.New()
	e.Use(echomw.RateLimiter(newLimiter(t, newClock(), api(2))))
	e.GET("/users/:id", func(c echo.Context) error {
		assert.Equal(t, `"api";r=1;t=900`, c.Response().Header().Get("RateLimit"))
		return c.NoContent(http.StatusNoContent)
	})
	assert.Equal(t, http.StatusNoContent, get(e).Code)
}

func TestSeveralLimitsOfOneLimiter(t *testing.T) {
	e := newEcho(echomw.RateLimiter(newLimiter(t, newClock(),
		slidingwindow.Limit{Name: "burst", Max: 1, Window: time.Second},
		slidingwindow.Limit{Name: "hour", Max: 5, Window: time.Hour})))

	rec := get(e)
	assert.Equal(t, []string{`"burst";q=1;w=1, "hour";q=5;w=3600`}, rec.Header().Values("RateLimit-Policy"))
	assert.Equal(t, []string{`"burst";r=0;t=1, "hour";r=4;t=3600`}, rec.Header().Values("RateLimit"))

	rec = get(e)
	assert.Equal(t, http.StatusTooManyRequests, rec.Code)
	assert.Equal(t, []string{`"burst";r=0;t=1, "hour";r=4`}, rec.Header().Values("RateLimit"))
	assert.Equal(t, []string{"1"}, rec.Header().Values("Retry-After"))
}

func TestTwoLimitersOnARoute(t *testing.T) {
	clock := newClock()
	perHour := newLimiter(t, clock, slidingwindow.Limit{Name: "hour", Max: 3, Window: time.Hour})
	perSecond := newLimiter(t, clock, slidingwindow.Limit{Name: "burst", Max: 1, Window: time.Second})
	e := newEcho(echomw.RateLimiter(perHour), echomw.RateLimiter(perSecond))

	rec := get(e)
	assert.Equal(t, http.StatusOK, rec.Code)
	assert.Equal(t, []string{`"hour";q=3;w=3600`, `"burst";q=1;w=1`}, rec.Header().Values("RateLimit-Policy"))
	assert.Equal(t, []string{`"hour";r=2;t=3600`, `"burst";r=0;t=1`}, rec.Header().Values("RateLimit"))

	rec = get(e)
	assert.Equal(t, http.StatusTooManyRequests, rec.Code)
	assert.Equal(t, []string{`"hour";r=1`, `"burst";r=0;t=1`}, rec.Header().Values("RateLimit"), "no reset after Retry-After")
	assert.Equal(t, []string{"1"}, rec.Header().Values("Retry-After"))

	clock.Advance(time.Second)
	assert.Equal(t, http.StatusOK, get(e).Code)
	rec = get(e)
	assert.Equal(t, http.StatusTooManyRequests, rec.Code)
	assert.Equal(t, []string{`"hour";r=0;t=3599`}, rec.Header().Values("RateLimit"), "the second limiter was not asked")
}

func TestALongerRetryAfterIsKept(t *testing.T) {
	longer := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Response().Header().Set("Retry-After", "1000")
			return next(c)
		}
	}
	rec := get(newEcho(longer, echomw.RateLimiter(newLimiter(t, newClock(), api(0)))))
	assert.Equal(t, []string{"1000"}, rec.Header().Values("Retry-After"))
	assert.Equal(t, "Too many requests: retry in 1000 s.", decodeJSON(t, rec)["detail"])

	down := newLimiterOn(t, &stubStore{err: slidingwindow.ErrStoreUnavailable}, api(1))
	rec = get(newEcho(longer, echomw.RateLimiter(down)))
	assert.Equal(t, http.StatusServiceUnavailable, rec.Code)
	assert.Equal(t, []string{"1000"}, rec.Header().Values("Retry-After"))
}

// Only a 503 says when to come back: the other failures do not mend by themselves.
func TestRetryAfterOfFailures(t *testing.T) {
	hour := newLimiter(t, newClock(), slidingwindow.Limit{Name: "hour", Max: 3, Window: time.Hour})
	down := newLimiterOn(t, &stubStore{err: slidingwindow.ErrStoreUnavailable}, api(1))
	rec := get(newEcho(echomw.RateLimiter(hour), echomw.RateLimiter(down)))
	assert.Equal(t, http.StatusServiceUnavailable, rec.Code)
	assert.Equal(t, []string{"1"}, rec.Header().Values("Retry-After"))
	assert.Equal(t, []string{`"hour";r=2`}, rec.Header().Values("RateLimit"), "no reset after Retry-After")

	rec = get(newEcho(echomw.RateLimiterWithConfig(echomw.Config{Limiter: hour, Key: constant("")})))
	assert.Equal(t, http.StatusForbidden, rec.Code)
	assert.Empty(t, rec.Header().Values("Retry-After"))
}

// A store that lets requests through without knowing any limit, while another is down.
func TestDecisionWithoutStatuses(t *testing.T) {
	e := newEcho(echomw.RateLimiter(newLimiterOn(t, &stubStore{decision: slidingwindow.Decision{Allowed: true}}, api(1))))
	rec := get(e)
	assert.Equal(t, http.StatusOK, rec.Code)
	assert.Empty(t, rec.Header().Values("RateLimit"))
	assert.Empty(t, rec.Header().Values("RateLimit-Policy"))

	// The zero Decision refuses.
	e = newEcho(echomw.RateLimiter(newLimiterOn(t, &stubStore{}, api(1))))
	rec = get(e)
	assert.Equal(t, http.StatusTooManyRequests, rec.Code)
	assert.Equal(t, "1", rec.Header().Get("Retry-After"))
	assert.NotContains(t, decodeJSON(t, rec), "violated-policies")
}

func withHeaders(limiter *slidingwindow.Limiter, set echomw.Headers) echo.MiddlewareFunc {
	return echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, Headers: set})
}

func TestNoHeadersButRetryAfter(t *testing.T) {
	e := newEcho(withHeaders(newLimiter(t, newClock(), api(1)), echomw.HeadersNone))
	assert.Empty(t, rateLimitFields(get(e)))
	rec := get(e)
	assert.Equal(t, http.StatusTooManyRequests, rec.Code)
	assert.Empty(t, rateLimitFields(rec))
	assert.Equal(t, []string{"900"}, rec.Header().Values("Retry-After"))
}

// What the limiters of a route say of each other passes through the echo.Context.
func TestTwoLimitersOnARouteInOlderFormats(t *testing.T) {
	const set = echomw.HeadersDraft7 | echomw.HeadersDraft6
	for name, order := range map[string]func(hour, burst echo.MiddlewareFunc) *echo.Echo{
		"hour first":  func(hour, burst echo.MiddlewareFunc) *echo.Echo { return newEcho(hour, burst) },
		"burst first": func(hour, burst echo.MiddlewareFunc) *echo.Echo { return newEcho(burst, hour) },
	} {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			e := order(
				withHeaders(newLimiter(t, clock, slidingwindow.Limit{Name: "hour", Max: 3, Window: time.Hour}), set),
				withHeaders(newLimiter(t, clock, slidingwindow.Limit{Name: "burst", Max: 2, Window: time.Second}), set))
			rec := get(e)
			assert.Equal(t, http.StatusOK, rec.Code)
			assert.Equal(t, []string{"limit=2, remaining=1, reset=1"}, rec.Header().Values("RateLimit"))
			assert.ElementsMatch(t, []string{"3;w=3600", "2;w=1"}, rec.Header().Values("RateLimit-Policy"))
			assert.Equal(t, http.StatusOK, get(e).Code)
			clock.Advance(time.Second)
			rec = get(e)
			assert.Equal(t, []string{"limit=3, remaining=0, reset=3599"}, rec.Header().Values("RateLimit"))
			assert.Equal(t, []string{"3599"}, rec.Header().Values("RateLimit-Reset"))

			rec = get(e)
			assert.Equal(t, http.StatusTooManyRequests, rec.Code)
			assert.Equal(t, []string{"limit=3, remaining=0, reset=3599"}, rec.Header().Values("RateLimit"))
			assert.Equal(t, []string{"3599"}, rec.Header().Values("Retry-After"))
		})
	}
}

func TestALimiterKeepsWhatAnotherOneSendsUpToDate(t *testing.T) {
	clock := newClock()
	e := newEcho(
		withHeaders(newLimiter(t, clock, slidingwindow.Limit{Name: "hour", Max: 3, Window: time.Hour}), echomw.HeadersDraft6),
		echomw.RateLimiter(newLimiter(t, clock, slidingwindow.Limit{Name: "burst", Max: 1, Window: time.Second})))
	rec := get(e)
	assert.Equal(t, map[string][]string{
		"Ratelimit": {`"burst";r=0;t=1`}, "Ratelimit-Policy": {`"burst";q=1;w=1`},
		"Ratelimit-Limit": {"1"}, "Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {"1"},
	}, rateLimitFields(rec))
}

// A 503 says to come back in a second: what says a later time is taken back.
func TestFailureTakesBackLaterResetsOfOlderFormats(t *testing.T) {
	hour := newLimiter(t, newClock(), slidingwindow.Limit{Name: "hour", Max: 3, Window: time.Hour})
	down := newLimiterOn(t, &stubStore{err: slidingwindow.ErrStoreUnavailable}, api(1))
	all := echomw.HeadersDraft11 | echomw.HeadersDraft6 | echomw.HeadersLegacy
	rec := get(newEcho(withHeaders(hour, all), withHeaders(down, all)))
	assert.Equal(t, http.StatusServiceUnavailable, rec.Code)
	assert.Equal(t, []string{"1"}, rec.Header().Values("Retry-After"))
	assert.Equal(t, map[string][]string{
		"Ratelimit":        {`"hour";r=2`},
		"Ratelimit-Policy": {`"hour";q=3;w=3600`},
	}, rateLimitFields(rec))
}

// rateLimitFields returns the fields of all formats, and not Retry-After.
func rateLimitFields(rec *httptest.ResponseRecorder) map[string][]string {
	fields := map[string][]string{}
	for field, values := range rec.Header() {
		if strings.Contains(field, "Ratelimit") {
			fields[field] = values
		}
	}
	return fields
}

package echomw_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestLimitsOfTheRequest(t *testing.T) {
	clock := newClock()
	plans := map[string][]slidingwindow.Limit{
		"free": {api(2)},
		"pro":  {api(5), {Name: "burst", Max: 3, Window: time.Second}},
		"":     nil,
		"none": {},
	}
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, clock, api(1)),
		Limits: func(c echo.Context) ([]slidingwindow.Limit, error) {
			return plans[c.Request().Header.Get("Plan")], nil
		},
	}))
	with := func(plan string) (int, string, string) {
		rec := get(e, header("Plan", plan))
		return rec.Code, rec.Header().Get("RateLimit"), rec.Header().Get("RateLimit-Policy")
	}
	expect := func(plan string, status int, rateLimit, policy string) {
		t.Helper()
		gotStatus, gotRateLimit, gotPolicy := with(plan)
		assert.Equal(t, status, gotStatus)
		assert.Equal(t, rateLimit, gotRateLimit)
		assert.Equal(t, policy, gotPolicy)
	}
	expect("", 200, `"api";r=0;t=900`, `"api";q=1;w=900`)
	expect("", 429, `"api";r=0;t=900`, `"api";q=1;w=900`)
	expect("none", 429, `"api";r=0;t=900`, `"api";q=1;w=900`)
	expect("free", 200, `"api";r=0;t=900`, `"api";q=2;w=900`)
	expect("free", 429, `"api";r=0;t=900`, `"api";q=2;w=900`)
	// Who moves to another plan keeps what was counted, because the limit has one name.
	expect("pro", 200, `"api";r=2;t=900, "burst";r=2;t=1`, `"api";q=5;w=900, "burst";q=3;w=1`)
	expect("pro", 200, `"api";r=1;t=900, "burst";r=1;t=1`, `"api";q=5;w=900, "burst";q=3;w=1`)
	expect("free", 429, `"api";r=0;t=900`, `"api";q=2;w=900`)
	expect("pro", 200, `"api";r=0;t=900, "burst";r=0;t=1`, `"api";q=5;w=900, "burst";q=3;w=1`)
	expect("pro", 429, `"api";r=0;t=900, "burst";r=0;t=1`, `"api";q=5;w=900, "burst";q=3;w=1`)
}

// More limits than are kept by value, and more sets than are kept at all.
func TestManySetsOfLimits(t *testing.T) {
	clock := newClock()
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, clock, api(1)),
		Limits: func(c echo.Context) ([]slidingwindow.Limit, error) {
			n, err := strconv.Atoi(c.QueryParam("n"))
			require.NoError(t, err)
			limits := make([]slidingwindow.Limit, 1+n%6)
			for i := range limits {
				limits[i] = slidingwindow.Limit{Name: fmt.Sprint("l", i), Max: int64(10_000 + n), Window: time.Hour}
			}
			return limits, nil
		},
	}))
	for _, n := range []int{5, 4, 3, 5, 4, 3, 0} {
		rec := do(e, http.MethodGet, fmt.Sprint("/users/1?n=", n))
		require.Equal(t, 200, rec.Code)
		assert.Contains(t, rec.Header().Get("RateLimit-Policy"), fmt.Sprintf(`"l%d";q=%d;w=3600`, n%6, 10_000+n))
	}
	for n := range 1500 {
		require.Equal(t, 200, do(e, http.MethodGet, fmt.Sprint("/users/1?n=", n)).Code)
	}
	rec := do(e, http.MethodGet, "/users/1?n=0")
	assert.Equal(t, `"l0";q=10000;w=3600`, rec.Header().Get("RateLimit-Policy"))
	assert.Equal(t, `"l0";r=8492;t=3600`, rec.Header().Get("RateLimit"), "1508 requests took one each")
}

func TestSetsThatDifferInTheirLastLimitOnly(t *testing.T) {
	for _, length := range []int{1, 2, 4, 5, 6} {
		last := int64(0)
		e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
			Limiter: newLimiter(t, newClock(), api(1)),
			Limits: func(echo.Context) ([]slidingwindow.Limit, error) {
				limits := make([]slidingwindow.Limit, length)
				for i := range limits {
					limits[i] = slidingwindow.Limit{Name: fmt.Sprint("l", i), Max: 100, Window: time.Hour}
				}
				limits[length-1].Max = last
				return limits, nil
			},
		}))
		for _, last = range []int64{50, 60, 50} {
			assert.Contains(t, get(e).Header().Get("RateLimit-Policy"), fmt.Sprintf(`"l%d";q=%d;w=3600`, length-1, last))
		}
	}
}

func TestInvalidSetIsNotTakenForAValidOne(t *testing.T) {
	limits := []slidingwindow.Limit{api(5)}
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Limits:  func(echo.Context) ([]slidingwindow.Limit, error) { return limits, nil },
	}))
	assert.Equal(t, 200, get(e).Code)
	limits = []slidingwindow.Limit{api(5), {}}
	assert.Equal(t, 503, get(e).Code)
}

func TestRecentSetsOfLimitsAreKept(t *testing.T) {
	cost := func(limits func(echo.Context) ([]slidingwindow.Limit, error)) float64 {
		return allocations(peer, echomw.RateLimiterWithConfig(echomw.Config{Limiter: newLimiterOn(t, steadyStore(), api(1e6)), Limits: limits}))
	}
	plan := []slidingwindow.Limit{api(1e6)}
	assert.LessOrEqual(t, cost(func(echo.Context) ([]slidingwindow.Limit, error) { return plan, nil })-cost(nil), 0.0)
}

func TestCostOfTheRequest(t *testing.T) {
	teapot := echo.NewHTTPError(http.StatusTeapot, "no coffee")
	for name, test := range map[string]struct {
		cost    int64
		err     error
		status  int
		taken   int64
		headers bool
	}{
		"1":                  {cost: 1, status: 200, taken: 1, headers: true},
		"5":                  {cost: 5, status: 200, taken: 5, headers: true},
		"free":               {cost: 0, status: 200},
		"negative":           {cost: -1, status: 503},
		"more than Max":      {cost: 11, status: 400},
		"error":              {cost: 1, err: errors.New("no page"), status: 503},
		"HTTP error":         {cost: 1, err: teapot, status: 418},
		"wrapped HTTP error": {cost: 1, err: fmt.Errorf("page: %w", teapot), status: 418},
		"HTTP error of 200":  {cost: 1, err: echo.NewHTTPError(200), status: 503},
		"nil HTTP error":     {cost: 1, err: (*echo.HTTPError)(nil), status: 503},
	} {
		t.Run(name, func(t *testing.T) {
			limiter := newLimiter(t, newClock(), api(10))
			var seen error
			e := newEcho(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
				Limiter: limiter,
				Cost:    func(echo.Context) (int64, error) { return test.cost, test.err },
			}))
			rec := get(e)
			assert.Equal(t, test.status, rec.Code)
			assert.Equal(t, 10-test.taken, left(t, limiter))
			assert.Equal(t, test.headers, rec.Header().Get("RateLimit") != "")
			if test.status != 200 {
				assert.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
				assert.NotErrorIs(t, seen, echomw.ErrNoKey)
				assert.NotContains(t, rec.Body.String(), "page", "the cause is not for the client")
			}
			if test.status == 503 {
				assert.Equal(t, "1", rec.Header().Get("Retry-After"))
			} else {
				assert.Empty(t, rec.Header().Get("Retry-After"), "no wait makes it fit")
			}
			switch name {
			case "negative":
				assert.ErrorIs(t, seen, slidingwindow.ErrInvalidCost)
			case "more than Max":
				assert.ErrorIs(t, seen, slidingwindow.ErrCostExceedsLimit)
			}
		})
	}
}

func TestLimitsThatCannotBeUsedAreAFailure(t *testing.T) {
	for name, test := range map[string]struct {
		limits []slidingwindow.Limit
		err    error
		status int
		is     error
	}{
		"error":      {err: lookupError("no plan"), status: 503, is: lookupError("no plan")},
		"HTTP error": {err: echo.ErrPaymentRequired, status: 402, is: echo.ErrPaymentRequired},
		"invalid":    {limits: []slidingwindow.Limit{{Name: "x", Max: -1, Window: time.Second}}, status: 503, is: slidingwindow.ErrInvalidLimit},
		"one name":   {limits: []slidingwindow.Limit{api(1), api(2)}, status: 503, is: slidingwindow.ErrInvalidLimit},
	} {
		t.Run(name, func(t *testing.T) {
			var seen error
			e := newEcho(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
				Limiter: newLimiter(t, newClock(), api(10)),
				Limits:  func(echo.Context) ([]slidingwindow.Limit, error) { return test.limits, test.err },
			}))
			for range 2 {
				assert.Equal(t, test.status, get(e).Code)
				assert.ErrorIs(t, seen, test.is)
			}
		})
	}
}

// lookupError is an error that equals another of its text.
type lookupError string

func (e lookupError) Error() string { return string(e) }

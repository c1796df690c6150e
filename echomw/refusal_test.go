package echomw_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// refusing has a limiter that refuses every request for 15 minutes.
func refusing(t *testing.T) echomw.Config {
	t.Helper()
	return echomw.Config{Limiter: newLimiter(t, newClock(), api(0))}
}

func TestRefusalIsAProblemDocument(t *testing.T) {
	e := newEcho(echomw.RateLimiterWithConfig(refusing(t)))
	for _, debug := range []bool{false, true} {
		e.Debug = debug
		rec := get(e)
		assert.Equal(t, http.StatusTooManyRequests, rec.Code)
		assert.Equal(t, "application/problem+json", rec.Header().Get("Content-Type"))
		assert.JSONEq(t, `{
			"type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
			"title": "Quota Exceeded",
			"status": 429,
			"detail": "Too many requests: retry in 900 s.",
			"violated-policies": ["api"]
		}`, rec.Body.String())
		assert.Equal(t, "900", rec.Header().Get("Retry-After"))
		assert.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
	}
}

func TestRefusalNamesTheLimitsThatRefused(t *testing.T) {
	clock := newClock()
	e := newEcho(echomw.RateLimiter(newLimiter(t, clock,
		slidingwindow.Limit{Name: "burst", Max: 1, Window: time.Second},
		slidingwindow.Limit{Name: "minute", Max: 10, Window: time.Minute},
		slidingwindow.Limit{Name: "hour", Max: 2, Window: time.Hour})))

	get(e)
	assert.Equal(t, []any{"burst"}, decodeJSON(t, get(e))["violated-policies"])
	clock.Advance(time.Second)
	get(e)
	assert.Equal(t, []any{"burst", "hour"}, decodeJSON(t, get(e))["violated-policies"])
}

func TestRefusalOnTheWire(t *testing.T) {
	server := httptest.NewServer(newEcho(echomw.RateLimiterWithConfig(refusing(t))))
	defer server.Close()

	for _, method := range []string{http.MethodGet, http.MethodHead} {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/users/1", nil)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())

		assert.Equal(t, http.StatusTooManyRequests, res.StatusCode)
		if method != http.MethodHead { // which has no body
			assert.Equal(t, []string{"application/problem+json"}, res.Header.Values("Content-Type"))
		}
		assert.Equal(t, []string{`"api";r=0;t=900`}, res.Header.Values("RateLimit"))
		assert.Equal(t, []string{`"api";q=0;w=900`}, res.Header.Values("RateLimit-Policy"))
		assert.Equal(t, []string{"900"}, res.Header.Values("Retry-After"))
		assert.Equal(t, method == http.MethodHead, len(body) == 0)
	}
}

// targeted are fields that some caches obey before Cache-Control.
var targeted = []string{"CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Surrogate-Control", "Edge-Control", "X-Accel-Expires"}

// cacheable is middleware that expects a response for caches to keep.
func cacheable(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Cache-Control", "public, max-age=3600")
		h.Set("Expires", "Thu, 01 Jan 2037 00:00:00 GMT")
		h.Set("ETag", `"1"`)
		for _, field := range targeted {
			h.Set(field, "max-age=3600")
		}
		h.Set("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
		return next(c)
	}
}

func TestAllowedResponseIsCachedAsTheApplicationSays(t *testing.T) {
	rec := get(newEcho(cacheable, echomw.RateLimiter(newLimiter(t, newClock(), api(1)))))
	assert.Equal(t, http.StatusOK, rec.Code)
	assert.Equal(t, "public, max-age=3600", rec.Header().Get("Cache-Control"))
	for _, field := range []string{"Expires", "ETag", "Last-Modified"} {
		assert.NotEmpty(t, rec.Header().Values(field), field)
	}
}

func TestRefusalsAndFailuresMustNotBeCached(t *testing.T) {
	limiter := newLimiter(t, newClock(), api(0))
	unauthorized := echomw.KeyFunc(func(echo.Context) (string, error) { return "", echo.ErrUnauthorized })
	down := newLimiterOn(t, &stubStore{err: slidingwindow.ErrStoreUnavailable}, api(1))
	respond := func(c echo.Context, _ error) error { return c.NoContent(http.StatusBadGateway) }
	for status, config := range map[int]echomw.Config{
		http.StatusBadRequest:         {Limiter: limiter, Key: echomw.KeyByHeader("X-API-Key")},
		http.StatusUnauthorized:       {Limiter: limiter, Key: unauthorized},
		http.StatusForbidden:          {Limiter: limiter, Key: constant("")},
		http.StatusTooManyRequests:    {Limiter: limiter},
		http.StatusBadGateway:         {Limiter: down, ErrorHandler: respond},
		http.StatusServiceUnavailable: {Limiter: down},
	} {
		rec := get(newEcho(cacheable, echomw.RateLimiterWithConfig(config)))
		assert.Equal(t, status, rec.Code)
		assert.Equal(t, []string{"no-store"}, rec.Header().Values("Cache-Control"), status)
		for _, field := range append([]string{"Expires", "ETag", "Last-Modified"}, targeted...) {
			assert.Empty(t, rec.Header().Values(field), "%s of a %d", field, status)
		}
	}
}

func TestMessageReplacesTheBody(t *testing.T) {
	for name, test := range map[string]struct {
		message any
		body    string
	}{
		"map":    {echo.Map{"success": false, "message": "Too many requests, please try again later."}, `{"success":false,"message":"Too many requests, please try again later."}`},
		"string": {"slow down", `{"message":"slow down"}`},
		"struct": {struct {
			Code int `json:"code"`
		}{7}, `{"code":7}`},
		"error":         {errors.New("slow down"), `{"message":"slow down"}`},
		"raw message":   {json.RawMessage(`{"slow":"down"}`), `{"slow":"down"}`},
		"bytes as text": {net.IPv4(192, 0, 2, 1), `"192.0.2.1"`},
	} {
		t.Run(name, func(t *testing.T) {
			config := refusing(t)
			config.Message = test.message
			rec := get(newEcho(echomw.RateLimiterWithConfig(config)))
			assert.Equal(t, http.StatusTooManyRequests, rec.Code)
			assert.JSONEq(t, test.body, rec.Body.String())
			assert.Equal(t, echo.MIMEApplicationJSON, rec.Header().Get("Content-Type"))
			assert.Equal(t, "900", rec.Header().Get("Retry-After"))
			assert.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
		})
	}
}

func TestMessageReachesTheHTTPErrorHandlerOfTheApplication(t *testing.T) {
	config := refusing(t)
	config.Message = "slow down"
	e := newEcho(echomw.RateLimiterWithConfig(config))
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		var httpError *echo.HTTPError
		var refused *echomw.RefusedError
		if assert.ErrorAs(t, err, &httpError) && assert.ErrorAs(t, err, &refused) {
			assert.NoError(t, c.String(httpError.Code, httpError.Message.(string)+" on "+refused.Decision.Limit.Name))
		}
	}
	rec := get(e)
	assert.Equal(t, http.StatusTooManyRequests, rec.Code)
	assert.Equal(t, "slow down on api", rec.Body.String())
}

func TestRefusalHandler(t *testing.T) {
	for name, test := range map[string]struct {
		deny        func(c echo.Context, d slidingwindow.Decision) error
		status      int
		contentType string
		body        string
	}{
		"responds": {
			func(c echo.Context, d slidingwindow.Decision) error { return c.String(420, "calm down: "+d.Limit.Name) },
			420, echo.MIMETextPlainCharsetUTF8, "calm down: api",
		},
		"returns an error": {
			func(echo.Context, slidingwindow.Decision) error {
				return echo.NewHTTPError(http.StatusServiceUnavailable)
			},
			503, echo.MIMEApplicationJSON, "Service Unavailable",
		},
		"only counts, and the refusal is sent": {
			func(echo.Context, slidingwindow.Decision) error { return nil },
			429, "application/problem+json", "quota-exceeded",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var given *slidingwindow.Decision
			var seen error
			config := refusing(t)
			config.RefusalHandler = func(c echo.Context, d slidingwindow.Decision) error {
				given = &d
				assert.Equal(t, "900", c.Response().Header().Get("Retry-After"), "the headers are set")
				return test.deny(c, d)
			}
			rec := get(newEcho(spy(&seen), echomw.RateLimiterWithConfig(config)))
			assert.Equal(t, test.status, rec.Code)
			assert.Equal(t, name == "responds", seen == nil)
			assert.Equal(t, test.contentType, rec.Header().Get("Content-Type"))
			assert.Contains(t, rec.Body.String(), test.body)
			assert.Equal(t, `"api";r=0;t=900`, rec.Header().Get("RateLimit"))
			assert.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
			require.NotNil(t, given)
			assert.False(t, given.Allowed)
		})
	}
}

func TestRefusalHandlerIsNotCalledWhenAllowed(t *testing.T) {
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		RefusalHandler: func(c echo.Context, _ slidingwindow.Decision) error {
			return c.NoContent(http.StatusTeapot)
		},
	}))
	assert.Equal(t, http.StatusOK, get(e).Code)
	assert.Equal(t, http.StatusTeapot, get(e).Code)
}

func TestStatusCodes(t *testing.T) {
	codes := echomw.StatusCodes{Refused: 503, NoKey: 401, Failed: 500}
	rec := get(newEcho(echomw.RateLimiterWithConfig(echomw.Config{Limiter: newLimiter(t, newClock(), api(0)), Status: codes})))
	assert.Equal(t, 503, rec.Code)
	assert.EqualValues(t, 503, decodeJSON(t, rec)["status"], "the document tells the status that it has")
	assert.Equal(t, "900", rec.Header().Get("Retry-After"))

	rec = get(newEcho(echomw.RateLimiterWithConfig(echomw.Config{Limiter: newLimiter(t, newClock(), api(1)), Status: codes, Key: constant("")})))
	assert.Equal(t, 401, rec.Code)
	assert.JSONEq(t, `{"message":"Unauthorized"}`, rec.Body.String())
	rec = get(newEcho(echomw.RateLimiterWithConfig(echomw.Config{Limiter: newLimiter(t, newClock(), api(1)), Status: codes, Key: echomw.KeyByHeader("X-API-Key")})))
	assert.Equal(t, 400, rec.Code, "an error's own status")

	down := newLimiterOn(t, &stubStore{err: slidingwindow.ErrStoreUnavailable}, api(1))
	rec = get(newEcho(echomw.RateLimiterWithConfig(echomw.Config{Limiter: down, Status: codes})))
	assert.Equal(t, 500, rec.Code)
	assert.Equal(t, "1", rec.Header().Get("Retry-After"))
}

func TestMessageFunc(t *testing.T) {
	var log strings.Builder
	for name, test := range map[string]struct {
		makes any
		body  string
		warns bool
	}{
		"map":        {echo.Map{"wait": 900}, `{"wait":900}`, false},
		"string":     {"slow down", `{"message":"slow down"}`, false},
		"nil":        {nil, "", false},
		"a channel":  {make(chan int), "", true},
		"bytes":      {[]byte("{}"), "", true},
		"nil error":  {(*echo.HTTPError)(nil), "", true},
		"MessageFun": {echomw.MessageFunc(nil), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			log.Reset()
			config := refusing(t)
			config.Logger = slog.New(slog.NewTextHandler(&log, nil))
			config.Message = echomw.MessageFunc(func(c echo.Context, d slidingwindow.Decision) any {
				assert.Equal(t, "/users/:id", c.Path())
				assert.Equal(t, "api", d.Limit.Name)
				return test.makes
			})
			e := newEcho(echomw.RateLimiterWithConfig(config))
			for range 2 {
				rec := get(e)
				assert.Equal(t, 429, rec.Code)
				if test.body == "" {
					assert.Equal(t, "application/problem+json", rec.Header().Get("Content-Type"))
					assert.Equal(t, "Quota Exceeded", decodeJSON(t, rec)["title"])
					continue
				}
				assert.JSONEq(t, test.body, rec.Body.String())
			}
			assert.Equal(t, test.warns, strings.Count(log.String(), "level=WARN") == 1, log.String())
		})
	}
}

// A nil *echo.HTTPError that is returned as an error would make Echo panic.
func TestHandlersThatReturnANilHTTPErrorHaveNotAnswered(t *testing.T) {
	var none *echo.HTTPError
	config := refusing(t)
	config.RefusalHandler = func(echo.Context, slidingwindow.Decision) error { return none }
	assert.Equal(t, 429, get(newEcho(echomw.RateLimiterWithConfig(config))).Code)

	config = echomw.Config{
		Limiter:      newLimiterOn(t, &stubStore{err: slidingwindow.ErrStoreUnavailable}, api(1)),
		ErrorHandler: func(echo.Context, error) error { return none },
	}
	assert.Equal(t, 503, get(newEcho(echomw.RateLimiterWithConfig(config))).Code)
}

func TestKeyFuncThatSays429TellsWhenToComeBack(t *testing.T) {
	rec := get(newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Key:     echomw.KeyFunc(func(echo.Context) (string, error) { return "", echo.ErrTooManyRequests }),
		Status:  echomw.StatusCodes{Failed: 400},
	})))
	assert.Equal(t, 429, rec.Code)
	assert.Equal(t, "1", rec.Header().Get("Retry-After"))

	rec = get(newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)), Key: echomw.KeyByHeader("X-API-Key"), Status: echomw.StatusCodes{Failed: 400},
	})))
	assert.Equal(t, 400, rec.Code)
	assert.Empty(t, rec.Header().Get("Retry-After"), "a missing header is there no sooner")
}

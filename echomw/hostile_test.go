package echomw_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// everything is what a response sends, as text.
func everything(rec *httptest.ResponseRecorder) string {
	var b bytes.Buffer
	_ = rec.Header().Write(&b)
	return b.String() + rec.Body.String()
}

// Whatever a client sends for a key: none of it comes back in a header or a body, or gets
// into a log or an error, be the request allowed, refused, failed or passed on in shadow mode.
func TestNothingOfAKeyIsSentLoggedOrWrapped(t *testing.T) {
	t.Parallel()
	const marker = "mArKeR"
	values := []string{
		marker, marker + "\r\nSet-Cookie: a=b", marker + "\nlevel=ERROR msg=forged", marker + "\x00", marker + `"} {"level":"ERROR"`,
		marker + "\x1b[31m", marker + "\xff", marker + "%0d%0aX: 1", "${jndi:ldap://" + marker + "}", "<script>" + marker, strings.Repeat(marker, 20_000),
	}
	keyers := map[string]echomw.Keyer{
		"header": echomw.KeyByHeader("X-API-Key"),
		"query":  echomw.KeyByQuery("k"),
		"cookie": echomw.KeyByCookie("session"),
		"form":   echomw.KeyByForm("email"),
		"param":  echomw.KeyByParam("id"),
		"joined": echomw.Join(echomw.KeyByIP(0), echomw.KeyByHeader("X-API-Key"), echomw.KeyByRoute()),
		"hashed": echomw.Hashed(secret, echomw.KeyByHeader("X-API-Key")),
	}
	for name, keyer := range keyers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			codes := map[int]bool{}
			logger := slog.New(slog.NewTextHandler(&out, nil))
			shadow := newLimiter(t, newClock(), api(1))
			shadow.SetMode(slidingwindow.ModeShadow)
			for _, limiter := range []*slidingwindow.Limiter{
				newLimiter(t, newClock(), api(1)), shadow,
				newLimiterOn(t, &stubStore{err: slidingwindow.ErrStoreUnavailable}, api(1)),
			} {
				var seen error
				e := echo.New()
				e.Logger.SetOutput(&out)
				e.Debug = true
				e.Use(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, Key: keyer, Logger: logger, Headers: allHeaders}))
				e.POST("/users/:id", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
				for _, value := range values {
					for range 2 {
						req := httptest.NewRequest(http.MethodPost, "/users/1?k="+url.QueryEscape(value), strings.NewReader("email="+url.QueryEscape(value)))
						req.RemoteAddr = peer
						req.URL.Path, req.URL.RawPath = "/users/"+value, ""
						req.Header = http.Header{"X-Api-Key": {value}, "X-Forwarded-For": {value}, "Cookie": {"session=" + value}, "Content-Type": {echo.MIMEApplicationForm}}
						rec := httptest.NewRecorder()
						e.ServeHTTP(rec, req)
						codes[rec.Code] = true
						assert.NotContains(t, everything(rec), marker)
						assert.Empty(t, rec.Header().Values("Set-Cookie"))
						assert.NotContains(t, fmt.Sprintf("%v %+v", seen, seen), marker)
					}
				}
			}
			assert.NotContains(t, out.String(), marker)
			for _, code := range []int{http.StatusNoContent, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
				assert.Contains(t, codes, code)
			}
		})
	}
}

const allHeaders = echomw.HeadersDraft11 | echomw.HeadersDraft6 | echomw.HeadersLegacy

// A name that comes from a database is checked like one of the program.
func TestNameOfALimitEndsNoHeader(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a\r\nSet-Cookie: a=b", "a\nb", "a\x00", "\x7f", "ключ", strings.Repeat("n", 65)} {
		var seen error
		rec := get(newEcho(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
			Limiter: newLimiter(t, newClock(), api(1)),
			Headers: allHeaders,
			Limits: func(echo.Context) ([]slidingwindow.Limit, error) {
				return []slidingwindow.Limit{{Name: name, Max: 1, Window: time.Hour}}, nil
			},
		})))
		assert.Equal(t, http.StatusServiceUnavailable, rec.Code, "%q", name)
		require.ErrorIs(t, seen, slidingwindow.ErrInvalidLimit)
		assert.NotContains(t, seen.Error(), "\r")
		assert.Empty(t, rec.Header().Values("Set-Cookie"))
		assert.Equal(t, []string{"1"}, rec.Header().Values("Retry-After"))
		assert.NotContains(t, everything(rec), "a=b")
	}
}

// One that is allowed is quoted where a quote ends something.
func TestNameOfALimitEndsNoString(t *testing.T) {
	t.Parallel()
	limit := slidingwindow.Limit{Name: `a";q=9, "b\`, Max: 1, Window: time.Hour}
	e := newEcho(echomw.RateLimiter(newLimiter(t, newClock(), limit)))
	get(e)
	refused := get(e)
	assert.Equal(t, `"a\";q=9, \"b\\";r=0;t=3600`, refused.Header().Get("RateLimit"))
	assert.Equal(t, `"a\";q=9, \"b\\";q=1;w=3600`, refused.Header().Get("RateLimit-Policy"))
	assert.Equal(t, []any{limit.Name}, decodeJSON(t, refused)["violated-policies"])

	var out bytes.Buffer
	err := errors.Unwrap(echo.NewHTTPError(429).SetInternal(&echomw.RefusedError{Decision: slidingwindow.NewDecision(0, slidingwindow.Status{Limit: limit, RetryAfter: 1})}))
	slog.New(slog.NewTextHandler(&out, nil)).Error("refused", "error", err)
	assert.Contains(t, out.String(), `error="echomw: refused by a\";q=9, \"b\\"`)
}

// What a refusal allocates does not grow with what the client sent, and a refused request
// does not reach the handler.
func TestARefusedRequestCostsLittle(t *testing.T) {
	served := 0
	cost := func(limiter *slidingwindow.Limiter, key string) float64 {
		e := echo.New()
		e.Use(setOnContext, echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, Key: echomw.KeyByHeader("X-API-Key")}))
		e.GET("/", func(c echo.Context) error {
			served++
			return c.JSON(http.StatusOK, echo.Map{"hello": "world"})
		})
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("X-API-Key", key)
		writer := &discard{header: make(http.Header)}
		return testing.AllocsPerRun(200, func() {
			clear(writer.header)
			e.ServeHTTP(writer, req)
		})
	}
	allowed := cost(newLimiter(t, newClock(), api(1000)), "k")
	require.Equal(t, 201, served)
	refused := cost(newLimiter(t, newClock(), api(0)), "k")
	large := cost(newLimiter(t, newClock(), api(0)), strings.Repeat("k", 1<<20))
	assert.Equal(t, 201, served)
	t.Logf("allocations of an allowed request: %v, of a refused one: %v, with a key of 1 MB: %v", allowed, refused, large)
	assert.LessOrEqual(t, refused, 40.0)
	assert.LessOrEqual(t, large, refused+8)
}

package house_test

import (
	"context"
	"errors"
	"expvar"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func readmeEcho(e *echo.Echo, limiter, searches *slidingwindow.Limiter, search echo.HandlerFunc) {
	e.Use(echomw.RateLimiter(limiter)) // by IP address

	e.GET("/search", search, echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: searches,
		Key:     echomw.Join(echomw.KeyByIP(64), echomw.KeyByRoute()),
		Headers: echomw.HeadersDraft11 | echomw.HeadersLegacy,
		Message: echo.Map{"success": false, "message": "Too many requests, please try again later."},
	}))
}

func readmePlans(e *echo.Echo, limiter *slidingwindow.Limiter, userOf func(echo.Context) (string, error), planOf func(echo.Context) string) {
	plans := map[string]slidingwindow.Limit{ // one Name: who changes plans keeps what was counted
		"free": {Name: "api", Max: 100, Window: time.Hour},
		"pro":  {Name: "api", Max: 10_000, Window: time.Hour},
	}
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter, // for those without a plan
		Key:     echomw.FirstOf(echomw.KeyByUser(userOf), echomw.KeyByIP(0)),
		Limits: func(c echo.Context) ([]slidingwindow.Limit, error) {
			if limit, ok := plans[planOf(c)]; ok {
				return []slidingwindow.Limit{limit}, nil
			}
			return nil, nil // those of Limiter
		},
		Cost: func(c echo.Context) (int64, error) { // 0 is free
			if c.Request().Method == http.MethodPost {
				return 5, nil
			}
			return 1, nil
		},
	}))
}

func readmeTokens(e *echo.Echo, store slidingwindow.Store, complete func(echo.Context) (int64, error), estimate func(echo.Context) int64) {
	limiter := slidingwindow.MustNew(store,
		slidingwindow.Limit{Name: "requests", Max: 60, Window: time.Minute},
		slidingwindow.Limit{Name: "tokens", Max: 100_000, Window: time.Minute})
	e.POST("/complete", func(c echo.Context) error {
		used, err := complete(c)
		if d, ok := echomw.FromContext(c); ok {
			key, _ := echomw.KeyFromContext(c)
			ctx := context.WithoutCancel(c.Request().Context()) // the client may have left
			err = errors.Join(err, limiter.Settle(ctx, key, d, slidingwindow.Cost{"requests": 1, "tokens": used}))
		}
		return err
	}, echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		Costs: func(c echo.Context) (slidingwindow.Cost, error) {
			return slidingwindow.Cost{"requests": 1, "tokens": estimate(c)}, nil
		},
		Units: map[string]string{"tokens": "tokens"}, // "tokens";q=100000;qu="tokens";w=60
	}))
}

func TestReadmesCodeOfTokensWorks(t *testing.T) {
	t.Parallel()
	e := newEcho()
	readmeTokens(e, memory.New(),
		func(c echo.Context) (int64, error) { return 1_000, c.NoContent(http.StatusNoContent) },
		func(echo.Context) int64 { return 60_000 })
	for _, left := range []string{"40000", "39000", "38000"} { // 60,000 are taken and 1,000 used
		rec := answer(e, httptest.NewRequest(http.MethodPost, "/complete", nil))
		assert.Contains(t, rec.Header().Get("RateLimit"), `"tokens";r=`+left)
		assert.Contains(t, rec.Header().Get("RateLimit-Policy"), `"tokens";q=100000;qu="tokens";w=60`)
	}
}

func readmeLogin(e *echo.Echo, loginsByIP, loginsByAccount *slidingwindow.Limiter, secret []byte, login echo.HandlerFunc) {
	account := echomw.KeyFunc(func(c echo.Context) (string, error) {
		email, err := echomw.KeyByForm("email").Key(c)
		return strings.ToLower(strings.TrimSpace(email)), err // or each spelling has guesses of its own
	})
	e.POST("/login", login, middleware.BodyLimit("16K"), // KeyByForm reads the body
		echomw.RateLimiterWithConfig(echomw.Config{Limiter: loginsByIP, SkipSuccessful: true}),
		echomw.RateLimiterWithConfig(echomw.Config{Limiter: loginsByAccount, SkipSuccessful: true,
			Key: echomw.Hashed(secret, account)}))
}

func readmeLoggedIn(c echo.Context, loginsByAccount *slidingwindow.Limiter) {
	if key, ok := echomw.KeyFromContext(c); ok { // that of the limiter nearest to the handler
		if err := loginsByAccount.Reset(c.Request().Context(), key); err != nil {
			c.Logger().Error(err)
		}
	}
}

func readmeWatch(e *echo.Echo, limiter *slidingwindow.Limiter, decisions *expvar.Map) {
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc { // before the limiter
		return func(c echo.Context) error {
			err := next(c)
			if d, ok := echomw.FromContext(c); ok {
				decisions.Add(string(d.Reason), 1) // an expvar.Map
			}
			return err
		}
	})
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		OnFirstRefusal: func(c echo.Context, d slidingwindow.Decision) { // once per key and episode
			slog.Warn("rate limit reached", "limit", d.Limit.Name, "reason", d.Reason, "retry_after", d.RetryAfter)
		},
	}))
	limiter.SetMode(slidingwindow.ModeShadow) // counts, and refuses nobody yet
}

func readmeProxy(e *echo.Echo, proxies *net.IPNet) {
	e.IPExtractor = echo.ExtractIPFromXFFHeader(echo.TrustIPRange(proxies)) // and private networks
}

func readmeCORS(e *echo.Echo, limiter *slidingwindow.Limiter) {
	e.Use(middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins:  []string{"https://app.example"},
		ExposeHeaders: []string{"RateLimit", "RateLimit-Policy", "Retry-After"},
	}))
	e.Use(echomw.RateLimiter(limiter))
}

func readmeRefusals(e *echo.Echo, limiter *slidingwindow.Limiter) {
	e.Use(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: limiter,
		Status:  echomw.StatusCodes{Failed: http.StatusInternalServerError}, // Refused: 429, NoKey: 403
		Message: echomw.MessageFunc(func(c echo.Context, d slidingwindow.Decision) any {
			return echo.Map{"limit": d.Limit.Name, "retry_in": d.RetryAfter.String()}
		}),
	}))
}

func noContent(c echo.Context) error { return c.NoContent(http.StatusNoContent) }

func answer(e *echo.Echo, req *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, req)
	return rec
}

func get(e *echo.Echo, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return answer(e, req)
}

// newStore is one whose clock stands still.
func newStore(t *testing.T) slidingwindow.Store {
	t.Helper()
	now := time.Now()
	store, err := memory.NewWithConfig(memory.Config{Clock: func() time.Time { return now }})
	require.NoError(t, err)
	return store
}

func newLimiter(t *testing.T, name string, max int64) *slidingwindow.Limiter {
	t.Helper()
	limiter, err := slidingwindow.New(newStore(t), slidingwindow.Limit{Name: name, Max: max, Window: time.Minute})
	require.NoError(t, err)
	return limiter
}

func newEcho() *echo.Echo {
	e := echo.New()
	e.GET("/", noContent)
	e.POST("/", noContent)
	return e
}

func TestReadmesCodeOfEchoWorks(t *testing.T) {
	t.Parallel()
	e := echo.New()
	readmeEcho(e, newLimiter(t, "all", 100), newLimiter(t, "search", 1), noContent)
	search := func() *httptest.ResponseRecorder {
		return answer(e, httptest.NewRequest(http.MethodGet, "/search", nil))
	}
	require.Equal(t, http.StatusNoContent, search().Code)
	refused := search()
	assert.Equal(t, http.StatusTooManyRequests, refused.Code)
	assert.JSONEq(t, `{"success":false,"message":"Too many requests, please try again later."}`, refused.Body.String())
	assert.Equal(t, "0", refused.Header().Get("X-RateLimit-Remaining"))
}

func TestReadmesCodeOfPlansWorks(t *testing.T) {
	t.Parallel()
	e := newEcho()
	readmePlans(e, newLimiter(t, "api", 10),
		func(c echo.Context) (string, error) { return c.Request().Header.Get("User"), nil },
		func(c echo.Context) string { return c.Request().Header.Get("Plan") })
	assert.Equal(t, `"api";r=99;t=3600`, get(e, "User", "ada", "Plan", "free").Header().Get("RateLimit"))
	assert.Equal(t, `"api";r=9998;t=3600`, get(e, "User", "ada", "Plan", "pro").Header().Get("RateLimit"))
	assert.Equal(t, `"api";r=9;t=60`, get(e).Header().Get("RateLimit"), "nobody")
	assert.Equal(t, `"api";r=4;t=60`, answer(e, httptest.NewRequest(http.MethodPost, "/", nil)).Header().Get("RateLimit"))
}

func TestReadmesCodeOfLoginsWorks(t *testing.T) {
	t.Parallel()
	e := echo.New()
	byAccount := newLimiter(t, "login-account", 2)
	readmeLogin(e, newLimiter(t, "login-ip", 5), byAccount, []byte("16 random bytes or more"), func(c echo.Context) error {
		if c.FormValue("password") != "right" {
			return echo.ErrUnauthorized
		}
		readmeLoggedIn(c, byAccount)
		return noContent(c)
	})
	login := func(peer, email, password string) int {
		form := url.Values{"email": {email}, "password": {password}}
		req := httptest.NewRequest(http.MethodPost, "/login", strings.NewReader(form.Encode()))
		req.Header.Set(echo.HeaderContentType, echo.MIMEApplicationForm)
		req.RemoteAddr = peer + ":4711"
		return answer(e, req).Code
	}
	const home, away, elsewhere = "198.51.100.7", "203.0.113.9", "192.0.2.1"
	for range 10 {
		require.Equal(t, http.StatusNoContent, login(home, "ada@example.com", "right"), "successes are free")
	}
	require.Equal(t, http.StatusUnauthorized, login(home, "ada@example.com", "wrong"))
	require.Equal(t, http.StatusNoContent, login(home, "ada@example.com", "right"), "which forgets the guess")
	require.Equal(t, http.StatusUnauthorized, login(away, "ada@example.com", "wrong"))
	require.Equal(t, http.StatusUnauthorized, login(away, " Ada@example.com", "wrong"))
	assert.Equal(t, http.StatusTooManyRequests, login(elsewhere, "ADA@example.com", "right"), "the account has had its guesses")

	require.Equal(t, http.StatusUnauthorized, login(away, "grace@example.com", "wrong"))
	require.Equal(t, http.StatusTooManyRequests, login(away, "ada@example.com", "wrong"), "refused, so not a guess")
	require.Equal(t, http.StatusUnauthorized, login(away, "jean@example.com", "wrong"))
	require.Equal(t, http.StatusUnauthorized, login(away, "mary@example.com", "wrong"))
	assert.Equal(t, http.StatusTooManyRequests, login(away, "joan@example.com", "right"), "the address has had its guesses")
	assert.Equal(t, http.StatusNoContent, login(elsewhere, "joan@example.com", "right"))
}

func TestReadmesCodeOfWatchingWorks(t *testing.T) {
	t.Parallel()
	e, limiter, decisions := newEcho(), newLimiter(t, "watched", 1), new(expvar.Map)
	readmeWatch(e, limiter, decisions)
	for range 3 {
		require.Equal(t, http.StatusNoContent, get(e).Code)
	}
	assert.JSONEq(t, `{"allowed": 1, "shadow": 2}`, decisions.String())
	limiter.SetMode(slidingwindow.ModeEnforce)
	assert.Equal(t, http.StatusTooManyRequests, get(e).Code)
	limiter.SetMode(slidingwindow.ModeOff)
	assert.Empty(t, get(e).Header().Get("RateLimit"))
	assert.JSONEq(t, `{"allowed": 1, "shadow": 2, "refused": 1}`, decisions.String())
}

func TestReadmesCodeOfProxiesWorks(t *testing.T) {
	t.Parallel()
	_, proxies, err := net.ParseCIDR("203.0.113.0/24")
	require.NoError(t, err)
	e := newEcho()
	readmeProxy(e, proxies)
	e.Use(echomw.RateLimiter(newLimiter(t, "proxied", 1)))
	through := func(peer, client string) int {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.RemoteAddr = peer
		req.Header.Set(echo.HeaderXForwardedFor, client)
		return answer(e, req).Code
	}
	assert.Equal(t, http.StatusNoContent, through("203.0.113.9:4711", "198.51.100.7"))
	assert.Equal(t, http.StatusNoContent, through("203.0.113.9:4711", "198.51.100.8"), "another client of the proxy")
	assert.Equal(t, http.StatusTooManyRequests, through("10.1.2.3:4711", "198.51.100.8"), "through a private network")
	assert.Equal(t, http.StatusNoContent, through("192.0.2.1:4711", "198.51.100.9"))
	assert.Equal(t, http.StatusTooManyRequests, through("192.0.2.1:4711", "198.51.100.10"), "a stranger is no proxy")
}

func TestReadmesCodeOfCORSWorks(t *testing.T) {
	t.Parallel()
	e := newEcho()
	readmeCORS(e, newLimiter(t, "cors", 1))
	const origin = "https://app.example"
	preflight := httptest.NewRequest(http.MethodOptions, "/", nil)
	preflight.Header.Set(echo.HeaderOrigin, origin)
	preflight.Header.Set(echo.HeaderAccessControlRequestMethod, http.MethodPost)
	require.Equal(t, http.StatusNoContent, answer(e, preflight).Code)
	require.Equal(t, http.StatusNoContent, get(e, echo.HeaderOrigin, origin).Code, "the preflight took nothing")
	refused := get(e, echo.HeaderOrigin, origin)
	assert.Equal(t, http.StatusTooManyRequests, refused.Code)
	assert.Equal(t, origin, refused.Header().Get(echo.HeaderAccessControlAllowOrigin))
	assert.Equal(t, "RateLimit,RateLimit-Policy,Retry-After", refused.Header().Get(echo.HeaderAccessControlExposeHeaders))
}

func TestReadmesCodeOfRefusalsWorks(t *testing.T) {
	t.Parallel()
	e := newEcho()
	readmeRefusals(e, newLimiter(t, "told", 1))
	require.Equal(t, http.StatusNoContent, get(e).Code)
	refused := get(e)
	assert.Equal(t, http.StatusTooManyRequests, refused.Code)
	assert.JSONEq(t, `{"limit": "told", "retry_in": "1m0s"}`, refused.Body.String())

	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	assert.Equal(t, http.StatusInternalServerError, answer(e, httptest.NewRequestWithContext(late, http.MethodGet, "/", nil)).Code)
}

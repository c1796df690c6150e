package echomw_test

import (
	"cmp"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// logged is middleware whose warnings are kept.
func logged(config echomw.Config) (echo.MiddlewareFunc, *strings.Builder) {
	log := new(strings.Builder)
	config.Logger = slog.New(slog.NewTextHandler(log, nil))
	return echomw.RateLimiterWithConfig(config), log
}

func TestWarnsOnceWhenThePeerCountsForWhomAProxyForwards(t *testing.T) {
	secret := []byte("0123456789abcdef")
	byIP := echomw.KeyByIP(0)
	trusting := func(cidr string) echo.IPExtractor {
		_, network, err := net.ParseCIDR(cidr)
		require.NoError(t, err)
		return echo.ExtractIPFromXFFHeader(echo.TrustIPRange(network))
	}
	const unset, wrong = "IPExtractor is not set", "does not trust the peer"
	for name, test := range map[string]struct {
		key       echomw.Keyer
		header    string
		value     string
		extractor echo.IPExtractor
		peer      string
		warns     string
	}{
		"X-Forwarded-For":          {header: "X-Forwarded-For", warns: unset},
		"Forwarded":                {header: "Forwarded", warns: unset},
		"X-Real-IP":                {header: "X-Real-IP", warns: unset},
		"CF-Connecting-IP":         {header: "CF-Connecting-IP", warns: unset},
		"Fly-Client-IP":            {header: "Fly-Client-IP", warns: unset},
		"joined":                   {key: echomw.Join(echomw.KeyByRoute(), byIP), header: "Forwarded", warns: unset},
		"first of":                 {key: echomw.FirstOf(echomw.KeyByHeader("X-API-Key"), byIP), header: "Forwarded", warns: unset},
		"hashed":                   {key: echomw.Hashed(secret, echomw.Join(byIP)), header: "Forwarded", warns: unset},
		"IPv6":                     {header: "Forwarded", peer: "[2001:db8::1]:443", warns: unset},
		"no such header":           {header: "X-Other"},
		"direct":                   {header: "X-Forwarded-For", extractor: echo.ExtractIPDirect(), warns: wrong},
		"another proxy is trusted": {header: "X-Forwarded-For", extractor: trusting("192.0.2.0/24"), warns: wrong},
		"a port in the header":     {header: "X-Forwarded-For", value: "203.0.113.77:4711", extractor: trusting("198.51.100.0/24"), warns: wrong},
		"another header is read":   {header: "Forwarded", extractor: trusting("198.51.100.0/24"), warns: wrong},
		"right":                    {header: "X-Forwarded-For", extractor: trusting("198.51.100.0/24")},
		"right, IPv6":              {header: "X-Forwarded-For", extractor: trusting("2001:db8::/32"), peer: "[2001:db8::1]:443"},
		"alike":                    {header: "X-Forwarded-For", value: "1.1.1.1", extractor: trusting("11.1.1.1/32"), peer: "11.1.1.1:443"},
		"key without the address":  {key: echomw.KeyByRoute(), header: "X-Forwarded-For"},
		"join without the address": {key: echomw.Join(echomw.KeyByRoute()), header: "X-Forwarded-For"},
	} {
		limit, log := logged(echomw.Config{Limiter: newLimiter(t, newClock(), api(100)), Key: test.key})
		e := newEcho(limit)
		e.IPExtractor = test.extractor
		assert.Empty(t, log.String())
		for range 3 {
			assert.Equal(t, 200, get(e, header(test.header, cmp.Or(test.value, "203.0.113.77")), from(cmp.Or(test.peer, peer))).Code, name)
		}
		if test.warns == "" {
			assert.Empty(t, log.String(), name)
			continue
		}
		assert.Equal(t, 1, strings.Count(log.String(), "\n"), name)
		assert.Contains(t, log.String(), "level=WARN")
		assert.Contains(t, log.String(), test.warns, name)
		assert.Contains(t, log.String(), "docs/proxies.md")
		assert.NotContains(t, log.String(), "203.0.113.77")
	}
}

func TestWarnsOnceOfAHeaderThatHasAnAddress(t *testing.T) {
	for _, text := range []string{"header:CF-Connecting-IP", "hashed:header:CF-Connecting-IP", "route + header:CF-Connecting-IP"} {
		key, err := echomw.ParseKey(text, echomw.KeyOptions{Secret: []byte("0123456789abcdef")})
		require.NoError(t, err)
		limit, log := logged(echomw.Config{Limiter: newLimiter(t, newClock(), api(100)), Key: key})
		e := newEcho(limit)
		get(e, header("CF-Connecting-IP", "not an address"))
		assert.Empty(t, log.String())
		for range 3 {
			get(e, header("CF-Connecting-IP", "2001:db8::7"))
		}
		assert.Equal(t, 1, strings.Count(log.String(), "\n"), text)
		assert.Contains(t, log.String(), "ip:header:")
		assert.NotContains(t, log.String(), "2001:db8::7")
	}
	limit, log := logged(echomw.Config{Limiter: newLimiter(t, newClock(), api(100)), Key: echomw.KeyByIPHeader("CF-Connecting-IP", 0)})
	get(newEcho(limit), header("CF-Connecting-IP", "2001:db8::7"))
	assert.Empty(t, log.String())
}

func TestWarnsOnceOfARequestThatIsCountedTwice(t *testing.T) {
	clock := newClock()
	limiter := newLimiter(t, clock, api(100))
	limit, log := logged(echomw.Config{Limiter: limiter})
	again, logAgain := logged(echomw.Config{Limiter: limiter})
	byRoute, logByRoute := logged(echomw.Config{Limiter: limiter, Key: echomw.KeyByRoute()})
	other, logOther := logged(echomw.Config{Limiter: newLimiter(t, clock, slidingwindow.PerHour(9))})

	get(newEcho(limit, byRoute, other))
	assert.Empty(t, log.String()+logByRoute.String()+logOther.String(), "another key, another limiter")
	e := newEcho(limit, other, again)
	for range 3 {
		assert.Equal(t, 200, get(e).Code, "a warning, not a failure")
	}
	assert.Empty(t, log.String())
	assert.Equal(t, 1, strings.Count(logAgain.String(), "\n"))
	assert.Contains(t, logAgain.String(), "counted twice")
	assert.Contains(t, logAgain.String(), "#name-your-limits")
	assert.EqualValues(t, 93, left(t, limiter), "1 and 3 times 2")

	get(newEcho(limit, limit))
	assert.Equal(t, 1, strings.Count(log.String(), "\n"))

	// Two limiters with limits of one name share a count on one store, and on two they do not.
	hour := slidingwindow.Limit{Name: "api", Max: 7, Window: time.Hour}
	sameName, logSameName := logged(echomw.Config{Limiter: newLimiterOn(t, limiter.Store(), hour)})
	apart, logApart := logged(echomw.Config{Limiter: newLimiter(t, clock, hour)})
	get(newEcho(byRoute, echomw.RateLimiter(limiter), apart, sameName))
	assert.Equal(t, 1, strings.Count(logSameName.String(), "\n"))
	assert.Empty(t, logApart.String())
	uncomparable := func() *slidingwindow.Limiter {
		return newLimiterOn(t, storeWithoutIdentity{limiter.Store(), nil}, hour)
	}
	get(newEcho(echomw.RateLimiter(uncomparable()), echomw.RateLimiter(uncomparable()))) // and does not panic

	// Two plans of one limiter do not, either.
	plan := func(name string) (echo.MiddlewareFunc, *strings.Builder) {
		return logged(echomw.Config{Limiter: limiter, Limits: func(echo.Context) ([]slidingwindow.Limit, error) {
			return []slidingwindow.Limit{{Name: name, Max: 5, Window: time.Hour}}, nil
		}})
	}
	a, logA := plan("a")
	b, logB := plan("b")
	get(newEcho(a, b))
	assert.Empty(t, logA.String()+logB.String())
}

// storeWithoutIdentity is of a type that == panics on.
type storeWithoutIdentity struct {
	slidingwindow.Store
	_ []int
}

// Two prefixes on one Redis are two stores, of which each counts once.
func TestPrefixesOnOneRedisCountApart(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	limiterOn := func(prefix string) *slidingwindow.Limiter {
		store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: prefix, Timeout: time.Minute})
		require.NoError(t, err)
		return newLimiterOn(t, store, api(10))
	}
	first, logFirst := logged(echomw.Config{Limiter: limiterOn(redistest.Prefix(t, client))})
	second, logSecond := logged(echomw.Config{Limiter: limiterOn(redistest.Prefix(t, client))})
	assert.Equal(t, []string{`"api";r=9;t=900`}, get(newEcho(second)).Header().Values("RateLimit"))
	assert.Equal(t, 200, get(newEcho(first, second)).Code)
	assert.Empty(t, logFirst.String()+logSecond.String())
	get(newEcho(second, second))
	assert.Equal(t, 1, strings.Count(logSecond.String(), "counted twice"))
}

func preflight(e *echo.Echo, origin string) int {
	options := []requestOption{header("Access-Control-Request-Method", "POST")}
	if origin != "" {
		options = append(options, header("Origin", origin))
	}
	return do(e, http.MethodOptions, "/users/1", options...).Code
}

func TestWarnsOnceOfARefusedPreflight(t *testing.T) {
	limit, log := logged(echomw.Config{Limiter: newLimiter(t, newClock(), api(0))})
	e := newEcho(limit, middleware.CORS())
	assert.Equal(t, 429, preflight(e, ""))
	assert.Equal(t, 429, get(e, header("Origin", "https://a.example")).Code)
	assert.Empty(t, log.String(), "neither is a preflight")
	for range 3 {
		assert.Equal(t, 429, preflight(e, "https://a.example"))
	}
	assert.Equal(t, 1, strings.Count(log.String(), "\n"))
	assert.Contains(t, log.String(), "CORS")
	assert.Contains(t, log.String(), "#cors")
}

func TestPreflightIsNotLimitedBehindCORSOrWithSkipPreflight(t *testing.T) {
	limit, log := logged(echomw.Config{Limiter: newLimiter(t, newClock(), api(0))})
	assert.Equal(t, 204, preflight(newEcho(middleware.CORS(), limit), "https://a.example"), "Echo's CORS answers it")

	limiter := newLimiter(t, newClock(), api(1))
	skip, skipLog := logged(echomw.Config{Limiter: limiter, SkipPreflight: true})
	e := newEcho(skip, middleware.CORS())
	for range 3 {
		assert.Equal(t, 204, preflight(e, "https://a.example"))
	}
	assert.EqualValues(t, 1, left(t, limiter))
	assert.Equal(t, 204, do(e, http.MethodOptions, "/users/1").Code, "an OPTIONS request that is no preflight")
	assert.Zero(t, left(t, limiter), "is counted")
	assert.Equal(t, 429, do(e, http.MethodOptions, "/users/1").Code)
	assert.Empty(t, log.String()+skipLog.String())
}

func TestWarningsGoToTheDefaultLoggerOfTheMoment(t *testing.T) {
	limit := echomw.RateLimiter(newLimiter(t, newClock(), slidingwindow.Limit{Name: "x", Max: 9, Window: time.Minute}))
	var log strings.Builder
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	get(newEcho(limit), header("Forwarded", "for=192.0.2.1"))
	assert.Contains(t, log.String(), "docs/proxies.md")
}

func TestFirstRefusalOfAnEpisodeOnRedisIsToldOnce(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: redistest.Prefix(t, client), Timeout: time.Minute})
	require.NoError(t, err)
	reasons := map[slidingwindow.Reason]bool{}
	calls := 0
	var d slidingwindow.Decision
	e := newEcho(keepDecision(&d), echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiterOn(t, store, api(1)), OnFirstRefusal: func(echo.Context, slidingwindow.Decision) { calls++ },
	}))
	for range 20 {
		get(e)
		reasons[d.Reason] = true
	}
	assert.True(t, reasons[slidingwindow.ReasonRefused] && reasons[slidingwindow.ReasonCached], "%v", reasons)
	assert.Equal(t, 1, calls)
}

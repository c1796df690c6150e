package echomw_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

// keyOf returns the key that keyer gives a request to the Echo instance.
func keyOf(e *echo.Echo, keyer echomw.Keyer, options ...requestOption) (string, error) {
	req := httptest.NewRequest(http.MethodGet, "/users/1", nil)
	req.RemoteAddr = peer
	for _, option := range options {
		option(req)
	}
	return keyer.Key(e.NewContext(req, httptest.NewRecorder()))
}

func TestForgedHeadersMakeNoNewKey(t *testing.T) {
	for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP"} {
		e := newEcho(echomw.RateLimiter(newLimiter(t, newClock(), api(5))))
		served := 0
		for i := range 20 {
			forged := fmt.Sprintf("203.0.113.%d", i)
			if name == "Forwarded" {
				forged = "for=" + forged
			}
			if get(e, header(name, forged)).Code == http.StatusOK {
				served++
			}
		}
		assert.Equal(t, 5, served, name)
	}
}

func TestKeyByIPBelievesTheExtractorOfTheApplication(t *testing.T) {
	const proxy, client = "10.0.0.1:443", "203.0.113.9"
	xff := header("X-Forwarded-For", "6.6.6.6, "+client)
	realIP := header("X-Real-IP", client)
	for name, test := range map[string]struct {
		extractor echo.IPExtractor
		options   []requestOption
		key       string
	}{
		"none":                          {nil, []requestOption{from(proxy), xff, realIP}, "10.0.0.1"},
		"direct":                        {echo.ExtractIPDirect(), []requestOption{from(proxy), xff, realIP}, "10.0.0.1"},
		"XFF from a proxy":              {echo.ExtractIPFromXFFHeader(), []requestOption{from(proxy), xff}, client},
		"XFF from a stranger":           {echo.ExtractIPFromXFFHeader(), []requestOption{from(peer), xff}, "198.51.100.7"},
		"XFF with no proxy trusted":     {echo.ExtractIPFromXFFHeader(echo.TrustPrivateNet(false)), []requestOption{from(proxy), xff}, "10.0.0.1"},
		"X-Real-IP from a proxy":        {echo.ExtractIPFromRealIPHeader(), []requestOption{from(proxy), realIP}, client},
		"X-Real-IP from a stranger":     {echo.ExtractIPFromRealIPHeader(), []requestOption{from(peer), realIP}, "198.51.100.7"},
		"X-Real-IP mapped":              {echo.ExtractIPFromRealIPHeader(), []requestOption{from(proxy), header("X-Real-IP", "::ffff:203.0.113.9")}, client},
		"X-Real-IP in another spelling": {echo.ExtractIPFromRealIPHeader(), []requestOption{from(proxy), header("X-Real-IP", "2001:DB8:0:0::1")}, "2001:db8::/56"},
		"custom, with a port":           {func(*http.Request) string { return "203.0.113.9:5000" }, nil, client},
		"custom, on a Unix socket":      {func(r *http.Request) string { return r.Header.Get("X-Real-IP") }, []requestOption{from("@"), realIP}, client},
	} {
		t.Run(name, func(t *testing.T) {
			e := echo.New()
			e.IPExtractor = test.extractor
			key, err := keyOf(e, echomw.KeyByIP(0), test.options...)
			require.NoError(t, err)
			assert.Equal(t, test.key, key)
		})
	}
}

func TestKeyByIPWithoutAnAddress(t *testing.T) {
	garbage := func(*http.Request) string { return "total garbage" }
	for name, test := range map[string]struct {
		extractor  echo.IPExtractor
		remoteAddr string
		source     string
	}{
		"Unix socket":                {nil, "@", "http.Request.RemoteAddr"},
		"nothing":                    {nil, "", "http.Request.RemoteAddr"},
		"Unix socket, XFF extractor": {echo.ExtractIPFromXFFHeader(), "@", "Echo.IPExtractor"},
		"Unix socket, direct":        {echo.ExtractIPDirect(), "@", "Echo.IPExtractor"},
		"garbage from the extractor": {garbage, peer, "Echo.IPExtractor"},
		"nothing from the extractor": {func(*http.Request) string { return "" }, peer, "Echo.IPExtractor"},
		"a name and not an address":  {nil, "localhost:80", "http.Request.RemoteAddr"},
	} {
		t.Run(name, func(t *testing.T) {
			var seen error
			e := newEcho(spy(&seen), echomw.RateLimiter(newLimiter(t, newClock(), api(100))))
			e.IPExtractor = test.extractor

			rec := get(e, from(test.remoteAddr), header("X-Forwarded-For", "203.0.113.9"), header("X-Real-IP", "203.0.113.9"))
			assert.Equal(t, http.StatusForbidden, rec.Code)
			assert.JSONEq(t, `{"message":"Forbidden"}`, rec.Body.String())
			require.ErrorIs(t, seen, echomw.ErrNoKey)
			assert.ErrorContains(t, seen, test.source)
			assert.ErrorContains(t, seen, "set Echo.IPExtractor")
			assert.NotContains(t, seen.Error(), "garbage", "the address itself is not for logs")
		})
	}
}

func TestUnixSocketServer(t *testing.T) {
	e := newEcho(echomw.RateLimiter(newLimiter(t, newClock(), api(100))))
	listener, err := net.Listen("unix", t.TempDir()+"/s")
	require.NoError(t, err)
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: e}} //nolint:gosec // lives for this test
	server.Start()
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", listener.Addr().String())
		},
	}}

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/users/1", nil)
	require.NoError(t, err)
	res, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusForbidden, res.StatusCode)
}

func TestKeyByIPPrefix(t *testing.T) {
	for prefix, key := range map[int]string{
		0:  "2001:db8:1234:5600::/56",
		32: "2001:db8::/32",
		48: "2001:db8:1234::/48",
		56: "2001:db8:1234:5600::/56",
		64: "2001:db8:1234:5678::/64",
	} {
		got, err := keyOf(echo.New(), echomw.KeyByIP(prefix), from("[2001:db8:1234:5678:9abc:def0:1234:5678]:443"))
		require.NoError(t, err)
		assert.Equal(t, key, got, prefix)
	}
	for _, prefix := range []int{-1, 1, 31, 65, 128, 129, 1 << 40} {
		assertFaults(t, echomw.KeyByIP(prefix),
			fmt.Sprintf("echomw: KeyByIP: ipv6Prefix is %d; allowed: 32 to 64 bits (0 stands for the default of 56)", prefix))
	}
	assert.Equal(t, 56, echomw.DefaultIPv6Prefix, "as the documentation says")
}

func TestNeighboursInOneIPv6NetworkShareAQuota(t *testing.T) {
	e := newEcho(echomw.RateLimiter(newLimiter(t, newClock(), api(3))))
	served := 0
	for i := range 10 {
		if get(e, from(fmt.Sprintf("[2001:db8:1:2%02x::%x]:1", i, i))).Code == http.StatusOK {
			served++
		}
	}
	assert.Equal(t, 3, served)
	assert.Equal(t, http.StatusOK, get(e, from("[2001:db8:1:300::1]:1")).Code)
}

func TestKeyByRoute(t *testing.T) {
	var key string
	var keyErr error
	byRoute := echomw.KeyByRoute()
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			key, keyErr = byRoute.Key(c)
			return next(c)
		}
	})
	ok := func(c echo.Context) error { return c.NoContent(http.StatusOK) }
	e.GET("/users/:id", ok)
	e.POST("/users/:id", ok)
	e.GET("/files/*", ok)
	e.Any("/any", ok)
	group := e.Group("/api/:tenant", func(next echo.HandlerFunc) echo.HandlerFunc { return next })
	group.GET("/orders", ok)

	for _, test := range []struct{ method, target, key string }{
		{"GET", "/users/1", "GET /users/:id"},
		{"GET", "/users/2?x=1", "GET /users/:id"},
		{"POST", "/users/2", "POST /users/:id"},
		{"GET", "/files/a/b/c", "GET /files/*"},
		{"PROPFIND", "/any", "PROPFIND /any"},
		{"GET", "/api/acme/orders", "GET /api/:tenant/orders"},
		{"GET", "/api/other/orders", "GET /api/:tenant/orders"},
		// No route, or no such method: bounded all the same.
		{"GET", "/api/acme/nowhere", "GET /api/:tenant/*"},
		{"GET", "/nowhere", "GET (no route)"},
		{"GET", "/nowhere/else", "GET (no route)"},
		{"DELETE", "/users/1", "DELETE /users/:id"},
		{"MADE-UP", "/users/1", "OTHER /users/:id"},
		{"MADE-UP-2", "/users/1", "OTHER /users/:id"},
		{"MADE-UP", "/nowhere", "OTHER (no route)"},
		{"MADE-UP", "/api/acme/nowhere", "OTHER /api/:tenant/*"},
	} {
		do(e, test.method, test.target)
		require.NoError(t, keyErr)
		assert.Equal(t, test.key, key, "%s %s", test.method, test.target)
	}
}

func TestRoutesHaveQuotasOfTheirOwn(t *testing.T) {
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		KeyFunc: echomw.KeyByRoute(),
	}))
	assert.Equal(t, http.StatusOK, do(e, http.MethodGet, "/users/1").Code)
	assert.Equal(t, http.StatusTooManyRequests, do(e, http.MethodGet, "/users/2").Code)
	assert.Equal(t, http.StatusOK, do(e, http.MethodPost, "/users/1").Code)
	assert.Equal(t, http.StatusTooManyRequests, do(e, http.MethodPost, "/users/1", from("203.0.113.1:1")).Code)
}

func TestRouteMiddlewareKnowsItsRoute(t *testing.T) {
	limit := echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		KeyFunc: echomw.KeyByRoute(),
	})
	e := echo.New()
	ok := func(c echo.Context) error { return c.NoContent(http.StatusOK) }
	e.GET("/a", ok, limit)
	e.GET("/b", ok, limit)
	assert.Equal(t, http.StatusOK, do(e, http.MethodGet, "/a").Code)
	assert.Equal(t, http.StatusTooManyRequests, do(e, http.MethodGet, "/a").Code)
	assert.Equal(t, http.StatusOK, do(e, http.MethodGet, "/b").Code)
}

func TestKeyByHeader(t *testing.T) {
	var seen error
	e := newEcho(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		KeyFunc: echomw.KeyByHeader("x-api-key"),
	}))
	assert.Equal(t, http.StatusOK, get(e, header("X-API-Key", "a")).Code)
	assert.Equal(t, http.StatusTooManyRequests, get(e, header("X-API-Key", "a"), from("203.0.113.1:1")).Code)
	assert.Equal(t, http.StatusOK, get(e, header("X-API-Key", "b")).Code)

	for name, test := range map[string]struct {
		option requestOption
		text   string
	}{
		"missing":  {func(*http.Request) {}, "header x-api-key is missing"},
		"no value": {header("X-API-Key"), "header x-api-key is missing"},
		"empty":    {header("X-API-Key", ""), "header x-api-key is missing"},
		"twice":    {header("X-API-Key", "made-up-1", "a"), "header x-api-key occurs more than once"},
	} {
		rec := get(e, test.option)
		assert.Equal(t, http.StatusBadRequest, rec.Code, name)
		assert.JSONEq(t, `{"message":"`+test.text+`"}`, rec.Body.String(), name)
		require.ErrorIs(t, seen, echomw.ErrNoKey, name)
		assert.NotContains(t, seen.Error(), "made-up", name)
	}
}

func TestKeyByHeaderHost(t *testing.T) {
	host := func(name string) requestOption { return func(r *http.Request) { r.Host = name } }
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		KeyFunc: echomw.KeyByHeader("host"),
	}))
	assert.Equal(t, http.StatusOK, get(e, host("a.example")).Code)
	assert.Equal(t, http.StatusTooManyRequests, get(e, host("a.example"), from("203.0.113.1:1")).Code)
	assert.Equal(t, http.StatusOK, get(e, host("b.example")).Code)
	rec := get(e, host(""))
	assert.Equal(t, http.StatusBadRequest, rec.Code)
	assert.JSONEq(t, `{"message":"header host is missing"}`, rec.Body.String())
}

// assertFaults expects that ToMiddleware reports the faults of a Keyer, a line each,
// and that no key comes out of it.
func assertFaults(t *testing.T, keyer echomw.Keyer, faults ...string) {
	t.Helper()
	middleware, err := echomw.Config{Limiter: newLimiter(t, newClock(), api(1)), KeyFunc: keyer}.ToMiddleware()
	assert.Nil(t, middleware)
	require.EqualError(t, err, strings.Join(faults, "\n"))

	// ToMiddleware cannot look into a Keyer of the application.
	var seen error
	e := newEcho(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		KeyFunc: struct{ echomw.Keyer }{keyer},
	}))
	assert.Equal(t, http.StatusForbidden, get(e).Code)
	require.ErrorIs(t, seen, echomw.ErrNoKey)
	assert.ErrorContains(t, seen, strings.TrimPrefix(faults[0], "echomw: "))
}

func TestBadKeyersAreErrorsOfToMiddleware(t *testing.T) {
	for _, name := range []string{"", "X API Key", "X-Key:", "Ünicode", "a\nb"} {
		assertFaults(t, echomw.KeyByHeader(name),
			fmt.Sprintf("echomw: KeyByHeader: name is %q; allowed: the name of a header, such as \"X-API-Key\"", name))
	}
	assertFaults(t, echomw.KeyFunc(nil), "echomw: KeyFunc is given a nil function; allowed: one that returns a key")
	assertFaults(t, echomw.Join(), "echomw: Join: no Keyer was given; allowed: one or more")
}

func TestJoinReportsAllItsPartsWithTheirPosition(t *testing.T) {
	assertFaults(t,
		echomw.Join(
			echomw.KeyByRoute(),
			nil,
			echomw.KeyFunc(nil),
			echomw.Join(echomw.KeyByIP(0), echomw.KeyByIP(1), echomw.KeyByHeader(""))),
		"echomw: Join: part 1: Keyer is nil; allowed: a KeyFunc, KeyByIP, KeyByRoute, KeyByHeader or Join",
		"echomw: Join: part 2: KeyFunc is given a nil function; allowed: one that returns a key",
		"echomw: Join: part 3: Join: part 1: KeyByIP: ipv6Prefix is 1; allowed: 32 to 64 bits (0 stands for the default of 56)",
		"echomw: Join: part 3: Join: part 2: KeyByHeader: name is \"\"; allowed: the name of a header, such as \"X-API-Key\"")
}

func constant(key string) echomw.Keyer {
	return echomw.KeyFunc(func(echo.Context) (string, error) { return key, nil })
}

func joined(t require.TestingT, parts ...string) string {
	keyers := make([]echomw.Keyer, len(parts))
	for i, part := range parts {
		keyers[i] = constant(part)
	}
	key, err := echomw.Join(keyers...).Key(nil)
	require.NoError(t, err)
	return key
}

func TestJoin(t *testing.T) {
	assert.Equal(t, `198.51.100.7|GET /users/:id`, joined(t, "198.51.100.7", "GET /users/:id"))
	assert.Equal(t, `a\|b|c`, joined(t, "a|b", "c"))
	assert.Equal(t, `a|b\|c`, joined(t, "a", "b|c"))
	assert.Equal(t, `a\\|b`, joined(t, `a\`, "b"))
	assert.Equal(t, `a\\\|b`, joined(t, `a\|b`))

	_, err := echomw.Join(constant("a"), constant("")).Key(nil)
	require.ErrorIs(t, err, echomw.ErrNoKey)
	unauthorized := echomw.KeyFunc(func(echo.Context) (string, error) { return "", echo.ErrUnauthorized })
	_, err = echomw.Join(constant("a"), unauthorized).Key(nil)
	assert.Same(t, echo.ErrUnauthorized, err, "the status survives")
}

func TestJoinKeepsItsParts(t *testing.T) {
	keyers := []echomw.Keyer{constant("a"), constant("b")}
	join := echomw.Join(keyers...)
	keyers[0] = nil
	key, err := join.Key(nil)
	require.NoError(t, err)
	assert.Equal(t, "a|b", key)
}

func TestJoinIsInjective(t *testing.T) {
	// Few letters, so that parts which differ only in where they end are common.
	parts := rapid.SliceOfN(rapid.StringMatching(`[a|\\]{1,4}`), 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		assert.Equal(t, slices.Equal(a, b), joined(t, a...) == joined(t, b...))
		// The same letters cut elsewhere.
		letters := strings.Join(a, "")
		cut := rapid.IntRange(1, len(letters)).Draw(t, "cut")
		if cut < len(letters) {
			c := []string{letters[:cut], letters[cut:]}
			assert.Equal(t, slices.Equal(a, c), joined(t, a...) == joined(t, c...))
		}
	})
}

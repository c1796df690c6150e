package echomw_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

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
			fmt.Sprintf("KeyByIP: ipv6Prefix is %d; allowed: 32 to 64 bits (0 stands for the default of 56)", prefix))
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

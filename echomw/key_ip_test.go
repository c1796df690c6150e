package echomw_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
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
	for _, prefix := range []int{-1, 1, 31, 65, 128, 129, math.MaxInt} {
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

// Every spelling of an address that a server or an extractor can come up with takes from
// one quota.
func TestSpellingsOfOneAddressShareAQuota(t *testing.T) {
	for name, spellings := range map[string][]string{
		"IPv4": {
			"203.0.113.9:40000", "203.0.113.9:1", "203.0.113.9", "[::ffff:203.0.113.9]:40000", "[::ffff:203.0.113.9]", "::ffff:203.0.113.9",
			"::ffff:cb00:7109", "[::FFFF:CB00:7109]:1", "0:0:0:0:0:ffff:203.0.113.9", "[::ffff:203.0.113.9%eth0]:1",
			"[64:ff9b::203.0.113.9]:443", "64:ff9b::cb00:7109",
		},
		"IPv6": {
			"[2001:db8:1:2::3]:443", "[2001:db8:1:2::3]", "2001:db8:1:2::3", "2001:DB8:1:2:0:0:0:3", "[2001:0db8:0001:0002::3]:1",
			"[2001:db8:1:2::ffff]:443", "[2001:db8:1:ff:1:2:3:4]:443", "[2001:db8:1::]:443",
		},
		"zones": {"[fe80::1%eth0]:443", "[fe80::1%eth1]:443", "fe80::1%eth0", "[fe80::2]:443", "fe80::"},
	} {
		for _, asPeer := range []bool{true, false} {
			store := &stubStore{decision: slidingwindow.NewDecision(1, slidingwindow.Status{Limit: api(1)})}
			e := newEcho(echomw.RateLimiter(newLimiterOn(t, store, api(1))))
			keys := map[string]bool{}
			for _, spelling := range spellings {
				remoteAddr := spelling
				if !asPeer {
					remoteAddr = "@"
					e.IPExtractor = func(*http.Request) string { return spelling }
				}
				assert.Equal(t, http.StatusOK, get(e, from(remoteAddr)).Code, spelling)
				keys[store.key] = true
			}
			assert.Len(t, keys, 1, "%s: %v", name, keys)
		}
	}
}

func TestTextsThatAreNoAddressReachNoStore(t *testing.T) {
	for _, text := range []string{
		"", "@", "@/run/app.sock", "/run/app.sock", ":80", "localhost", "203.0.113.9:", "203.0.113.9:http", "203.0.113.9:80:80",
		"203.0.113.9%eth0", "203.0.113.9, 198.51.100.1", " 203.0.113.9", "203.0.113.009", "203.0.113", "3405803785", "0xcb.0.0x71.9",
		"[203.0.113.9]:80", "[::1", "::1]:80", "[::1]80", "[]:80", "[[::1]]:80", "::1::", "fe80::1%", "2001:db8::/56", "unknown", "_hidden",
	} {
		store := &stubStore{}
		var seen error
		e := newEcho(spy(&seen), echomw.RateLimiter(newLimiterOn(t, store, api(1))))
		assert.Equal(t, http.StatusForbidden, get(e, from(text)).Code, text)
		require.ErrorIs(t, seen, echomw.ErrNoKey, text)

		e.IPExtractor = func(*http.Request) string { return text }
		assert.Equal(t, http.StatusForbidden, get(e).Code, text)
		require.ErrorIs(t, seen, echomw.ErrNoKey, text)
		assert.Zero(t, store.calls, text)
	}
}

// Each length of the prefix, through the middleware: the first and the last address of a
// network share a quota, the one after has another.
func TestPrefixesThroughTheMiddleware(t *testing.T) {
	for prefix := 32; prefix <= 64; prefix++ {
		network := netip.PrefixFrom(netip.MustParseAddr("2001:db8:1234:5678::"), prefix).Masked()
		bytes := network.Addr().As16()
		last := bytes
		for bit := prefix; bit < 128; bit++ {
			last[bit/8] |= 0x80 >> (bit % 8)
		}
		e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
			Limiter: newLimiter(t, newClock(), api(1)),
			Key:     echomw.KeyByIP(prefix),
		}))
		addr := func(addr netip.Addr) requestOption { return from(netip.AddrPortFrom(addr, 443).String()) }
		assert.Equal(t, http.StatusOK, get(e, addr(network.Addr())).Code)
		assert.Equal(t, http.StatusTooManyRequests, get(e, addr(netip.AddrFrom16(last))).Code, prefix)
		assert.Equal(t, http.StatusOK, get(e, addr(netip.AddrFrom16(last).Next())).Code, prefix)
	}
}

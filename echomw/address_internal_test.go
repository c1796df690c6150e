package echomw

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAddressKey(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.9:40000":                      "203.0.113.9",
		"203.0.113.9":                            "203.0.113.9", // no port
		"[::ffff:203.0.113.9]:1":                 "203.0.113.9", // mapped
		"::ffff:203.0.113.9":                     "203.0.113.9",
		"[::ffff:cb00:7109]":                     "203.0.113.9",
		"[::ffff:203.0.113.9%eth0]:1":            "203.0.113.9",
		"[64:ff9b::203.0.113.9]:1":               "203.0.113.9", // NAT64
		"[64:ff9b::203.0.113.9%eth0]:1":          "203.0.113.9",
		"[2001:db8:1234:abcd::1]:443":            "2001:db8:1234:ab00::/56",
		"[2001:db8:1234:abcd::1]":                "2001:db8:1234:ab00::/56",
		"2001:db8:1234:abcd::1":                  "2001:db8:1234:ab00::/56",
		"2001:DB8:1234:ABCD:0:0:0:1":             "2001:db8:1234:ab00::/56",
		"[fe80::1%eth0]:1":                       "fe80::/56", // zone
		"fe80::1%eth0":                           "fe80::/56",
		"[::1]:80":                               "::/56",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff": "ffff:ffff:ffff:ff00::/56",
	} {
		key, ok := addressKey(text, 56)
		assert.True(t, ok, text)
		assert.Equal(t, want, key, text)
	}
	for _, text := range []string{
		"", "@", ":", ":80", "[", "]", "[]", "[]:80", "[::1", "::1]", "[::1]80", "[::1]:", "[::1]:http", "[::1]:80]", "[[::1]]:80",
		"[203.0.113.9]:80", "203.0.113.9:", "203.0.113.9:http", "203.0.113.9:80:80", "203.0.113.9/24", "203.0.113", "010.1.2.3",
		"203.0.113.9%eth0", "localhost", "localhost:80", ",1.1.1.1", "203.0.113.9, 203.0.113.10", " 203.0.113.9", "total garbage",
		"/run/app.sock", "fe80::1%", "unknown", "_hidden", "2001:db8::/32",
	} {
		key, ok := addressKey(text, 56)
		assert.False(t, ok, text)
		assert.Empty(t, key, text)
	}
}

func TestAddressKeyOfIPv4AllocatesNothing(t *testing.T) {
	assert.Zero(t, testing.AllocsPerRun(100, func() { addressKey("203.0.113.9:40000", 56) }))
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { addressKey("[2001:db8:1234:abcd::1]:443", 56) }), 1.0)
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{
		"", "@", "203.0.113.9:1", "[::ffff:203.0.113.9]:1", "fe80::1%eth0", "[2001:DB8:0:0::1]:80", "[64:ff9b::1]:1", "[::1]", "::1]:x",
	} {
		f.Add(seed, 56)
	}
	f.Fuzz(func(t *testing.T, text string, prefix int) {
		prefix = minIPv6Prefix + int(uint(prefix)%uint(maxIPv6Prefix-minIPv6Prefix+1))
		key, ok := addressKey(text, prefix)
		if !ok {
			require.Empty(t, key)
			return
		}
		require.LessOrEqual(t, len(key), len("ffff:ffff:ffff:ffff::/64"))
		require.NotContains(t, key, "%")

		// The key names a canonical address or network.
		network, err := netip.ParsePrefix(key)
		if strings.Contains(key, "/") {
			require.NoError(t, err)
			require.Equal(t, network.Masked().String(), key)
			require.Equal(t, prefix, network.Bits())
		} else {
			addr, err := netip.ParseAddr(key)
			require.NoError(t, err)
			require.True(t, addr.Is4())
			require.Equal(t, addr.String(), key)
		}

		// Every other spelling of the address has the same key.
		host, _ := withoutPort(text)
		addr, err := netip.ParseAddr(host)
		require.NoError(t, err)
		spellings := []string{
			addr.String(),
			netip.AddrPortFrom(addr.WithZone(""), 65535).String(),
			addr.WithZone("").StringExpanded(),
			strings.ToUpper(addr.WithZone("").StringExpanded()),
			netip.AddrFrom16(addr.As16()).String(), // IPv4 as IPv4-mapped
			"[" + netip.AddrFrom16(addr.As16()).StringExpanded() + "]",
		}
		for _, spelling := range spellings {
			same, ok := addressKey(spelling, prefix)
			require.True(t, ok, spelling)
			require.Equal(t, key, same, spelling)
		}
	})
}

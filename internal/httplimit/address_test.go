package httplimit

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAddressKey(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.9:40000":                       "203.0.113.9",
		"203.0.113.9":                             "203.0.113.9", // no port
		"[::ffff:203.0.113.9]:1":                  "203.0.113.9", // mapped
		"::ffff:203.0.113.9":                      "203.0.113.9",
		"[::ffff:cb00:7109]":                      "203.0.113.9",
		"[::ffff:203.0.113.9%eth0]:1":             "203.0.113.9",
		"::FFFF:CB00:7109":                        "203.0.113.9",
		"0:0:0:0:0:ffff:203.0.113.9":              "203.0.113.9",
		"0000:0000:0000:0000:0000:ffff:cb00:7109": "203.0.113.9",
		"[0:0::ffff:203.0.113.9]":                 "203.0.113.9",
		"::ffff:0.0.0.0":                          "0.0.0.0",
		"::ffff:0:203.0.113.9":                    "::/56",       // not mapped: SIIT, RFC 2765
		"::203.0.113.9":                           "::/56",       // not mapped: IPv4-compatible, RFC 4291
		"[64:ff9b::203.0.113.9]:1":                "203.0.113.9", // NAT64
		"[64:ff9b::203.0.113.9%eth0]:1":           "203.0.113.9",
		"64:ff9b::cb00:7109":                      "203.0.113.9",
		"0064:FF9B:0:0:0:0:203.0.113.9":           "203.0.113.9",
		"64:ff9b:0:0:0:1:203.0.113.9":             "64:ff9b::/56",   // next to NAT64
		"64:ff9b:1::203.0.113.9":                  "64:ff9b:1::/56", // local NAT64, of any prefix: RFC 8215
		"[2001:db8:1234:abcd::1]:443":             "2001:db8:1234:ab00::/56",
		"[2001:db8:1234:abcd::1]":                 "2001:db8:1234:ab00::/56",
		"2001:db8:1234:abcd::1":                   "2001:db8:1234:ab00::/56",
		"2001:DB8:1234:ABCD:0:0:0:1":              "2001:db8:1234:ab00::/56",
		"[fe80::1%eth0]:1":                        "fe80::/56", // zone
		"fe80::1%eth0":                            "fe80::/56",
		"[::1]:80":                                "::/56",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff":  "ffff:ffff:ffff:ff00::/56",
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

func TestAddressKeyPrefixes(t *testing.T) {
	for prefix, want := range map[int]string{
		32: "2001:db8::/32",
		33: "2001:db8:8000::/33",
		47: "2001:db8:fffe::/47",
		48: "2001:db8:ffff::/48",
		49: "2001:db8:ffff:8000::/49",
		56: "2001:db8:ffff:ff00::/56",
		60: "2001:db8:ffff:fff0::/60",
		63: "2001:db8:ffff:fffe::/63",
		64: "2001:db8:ffff:ffff::/64",
	} {
		key, ok := addressKey("[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff%eth0]:443", prefix)
		assert.True(t, ok)
		assert.Equal(t, want, key)
	}
	for prefix := minIPv6Prefix; prefix <= maxIPv6Prefix; prefix++ {
		for _, text := range []string{"203.0.113.9", "[::ffff:203.0.113.9]:1", "64:ff9b::203.0.113.9"} {
			key, ok := addressKey(text, prefix)
			assert.True(t, ok)
			assert.Equal(t, "203.0.113.9", key, "%s at /%d", text, prefix)
		}
		inside, _ := addressKey("2001:db8:0:ff00::", prefix)
		last, _ := addressKey("2001:db8:0:ff00:ffff:ffff:ffff:ffff", prefix)
		assert.Equal(t, inside, last, "a host is one at /%d", prefix)
		other, _ := addressKey("2001:db9::", prefix)
		assert.NotEqual(t, inside, other)
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
		require.Empty(t, strings.Trim(key, "0123456789abcdef:./"), "nothing else of the text")

		// The key names a canonical address or network.
		network, err := netip.ParsePrefix(key)
		if strings.Contains(key, "/") {
			require.NoError(t, err)
			require.Equal(t, network.Masked().String(), key)
			require.Equal(t, prefix, network.Bits())

			// It is the key of its own network address, but that of NAT64's network is NAT64's.
			same, ok := addressKey(network.Addr().String(), prefix)
			require.True(t, ok)
			if !nat64.Contains(network.Addr()) {
				require.Equal(t, key, same)
			}
		} else {
			addr, err := netip.ParseAddr(key)
			require.NoError(t, err)
			require.True(t, addr.Is4())
			require.Equal(t, addr.String(), key)

			// It is its own key, also as IPv4-mapped and after NAT64.
			bytes := addr.As4()
			translated := nat64.Addr().As16()
			copy(translated[12:], bytes[:])
			for _, spelling := range []string{key, "::ffff:" + key, netip.AddrFrom16(translated).String()} {
				same, ok := addressKey(spelling, prefix)
				require.True(t, ok, spelling)
				require.Equal(t, key, same, spelling)
			}
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

		// What follows the address makes it none, or belongs to its zone.
		for _, garbage := range []string{" ", ",", ", 203.0.113.10", "x", "/24", "\x00", "]"} {
			if same, ok := addressKey(text+garbage, prefix); ok {
				require.Contains(t, host, "%")
				require.Equal(t, key, same)
			}
		}
	})
}

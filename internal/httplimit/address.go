package httplimit

import (
	"net/netip"
	"strings"
)

// nat64 holds IPv4 clients that reach an IPv6 server through a translator (RFC 6052,
// section 2.1): the last four bytes are the client. Cut to a prefix, they would all be
// one client.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// addressKey returns the one text under which an address is counted: an IPv4 address
// ("198.51.100.7"), or the network of an IPv6 address ("2001:db8:1234:ab00::/56").
// It takes what http.Request.RemoteAddr and Echo's extractors give: an address with or
// without a port, brackets, or a zone. It reports false for anything else.
func addressKey(text string, ipv6Prefix int) (string, bool) {
	host, ok := withoutPort(text)
	if !ok {
		return "", false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return "", false
	}
	if addr.Is4() {
		// ParseAddr takes one spelling only of an IPv4 address.
		return host, true
	}
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		bytes := addr.As16()
		addr = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if addr.Is4() {
		return addr.String(), true
	}
	network, err := addr.Prefix(ipv6Prefix)
	if err != nil {
		return "", false
	}
	var buf [len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")]byte
	return string(network.AppendTo(buf[:0])), true
}

// withoutPort takes the port and the brackets off: "[::1]:80", "[::1]", "::1",
// "192.0.2.1:80" and "192.0.2.1" are all addresses that Echo can come up with.
func withoutPort(text string) (host string, ok bool) {
	if inner, bracketed := strings.CutPrefix(text, "["); bracketed {
		host, after, closed := strings.Cut(inner, "]")
		if !closed || !strings.Contains(host, ":") {
			return "", false
		}
		port, hasPort := strings.CutPrefix(after, ":")
		return host, after == "" || hasPort && isPort(port)
	}
	host, port, hasPort := strings.Cut(text, ":")
	if !hasPort || strings.Contains(port, ":") {
		return text, true
	}
	return host, isPort(port)
}

func isPort(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

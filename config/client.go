package config

import (
	"net/netip"
	"net/textproto"
	"strings"
)

const (
	defaultIPv6Prefix = 56
	minIPv6Prefix     = 32
	maxIPv6Prefix     = 64

	minSecretBytes = 16

	ipv6PrefixRule = "32 to 64"
	secretRule     = "a text of 16 bytes or more"

	defaultProxyHeader = "X-Forwarded-For"

	proxiesRule     = "addresses and ranges of addresses, such as 10.0.0.0/8 and 2001:db8::/32, separated by commas"
	proxyHeaderRule = "X-Forwarded-For, or a header that holds one address, such as X-Real-IP or CF-Connecting-IP"
)

// Client says how clients are told apart, for echomw.KeyOptions.
type Client struct {
	// IPv6Prefix is how many bits of an IPv6 address tell one client from another: 32
	// to 64. Defaults to 56.
	IPv6Prefix int

	// KeySecret is what the keys of limits are hashed with where [Limit].By says
	// "hashed:": 16 bytes or more. Programs that share their counts need the same one.
	// Defaults to none.
	KeySecret Secret

	// TrustedProxies are the addresses of the proxies whose ProxyHeader is believed: that of
	// a connection from anywhere else says nothing. Each has the bits beyond its length set to
	// 0. Defaults to none: the client is then who connects.
	TrustedProxies []netip.Prefix

	// ProxyHeader is the header in which the proxies give the client's address, in its canonical
	// spelling: "X-Forwarded-For", where each proxy adds one, or a header that holds one
	// address. Defaults to "X-Forwarded-For". It is for TrustedProxies.
	ProxyHeader string
}

func (s *settings) client() Client {
	c := Client{IPv6Prefix: defaultIPv6Prefix, KeySecret: s.secret(keySecret, minSecretBytes, secretRule)}
	if bits, ok := s.integer(keyIPv6Prefix, ipv6PrefixRule); ok {
		if bits < minIPv6Prefix || bits > maxIPv6Prefix {
			s.invalid(keyIPv6Prefix, "", ipv6PrefixRule)
		}
		c.IPv6Prefix = int(bits)
	}
	c.ProxyHeader = s.proxyHeader()
	c.TrustedProxies = s.proxies(c.ProxyHeader)
	return c
}

func (s *settings) proxyHeader() string {
	header := s.cleanText(keyProxyHeader, proxyHeaderRule)
	if !s.isSet(keyProxyHeader) || header == "" {
		return defaultProxyHeader
	}
	header = textproto.CanonicalMIMEHeaderKey(header)
	switch {
	case !isToken(header):
		s.invalid(keyProxyHeader, "no header can have this name", proxyHeaderRule)
	case header == "Forwarded":
		s.invalid(keyProxyHeader, "its value is no address", proxyHeaderRule)
	case !s.isSet(keyProxies) && !s.incomplete:
		s.problemf("%s needs %s (%s) as well: nobody's header is believed else", s.describe(keyProxyHeader), keyProxies, variableOf(keyProxies))
	}
	return header
}

// proxies are the ranges of addresses that are trusted. The whole internet is one only for a header
// that holds one address: in X-Forwarded-For a client would choose its own.
func (s *settings) proxies(header string) (ranges []netip.Prefix) {
	if !s.isSet(keyProxies) {
		return nil
	}
	items, ok := s.list(keyProxies, proxiesRule)
	if !ok {
		return nil
	}
	for _, item := range items {
		text, isText := item.(string)
		if text == "" || !isText {
			s.invalid(keyProxies, shown(item)+" is no range of addresses", proxiesRule)
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if addr, notAddr := netip.ParseAddr(text); err != nil && notAddr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil || prefix.Addr().Is4In6() || strings.Contains(text, "%"):
			s.invalid(keyProxies, shown(item)+" is no range of addresses", proxiesRule)
		case prefix != prefix.Masked():
			s.invalid(keyProxies, shown(item)+" has bits beyond its length; write "+prefix.Masked().String(), proxiesRule)
		case prefix.Bits() == 0 && header == defaultProxyHeader:
			s.invalid(keyProxies, shown(item)+" is everybody, and who is trusted may write any address into X-Forwarded-For", "the addresses of your proxies only")
		default:
			ranges = append(ranges, prefix)
		}
	}
	return ranges
}

package config

import (
	"net/netip"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

const (
	defaultRefusedStatus = 429
	defaultNoKeyStatus   = 403
	defaultFailedStatus  = 503

	minFailure = 400
	maxFailure = 599

	statusRule  = "400 to 599"
	headersRule = "draft-6, legacy and one of draft-7 and draft-11 (or draft-8, draft-9, draft-10, which mean the same), separated by commas; or none alone"

	formatDraft11 = "draft-11"
	formatDraft7  = "draft-7"
	formatNone    = "none"
)

var (
	// In the order of the canonical form.
	formats = []string{formatDraft11, formatDraft7, "draft-6", "legacy", formatNone}

	// Drafts that have the headers of draft-11.
	sameAsDraft11 = []string{"draft-8", "draft-9", "draft-10"}
)

// Response says what an HTTP server answers. Its fields are for echomw.Config.
type Response struct {
	// Headers are the formats of the headers that tell a client its quota, for
	// echomw.ParseHeaders: "none", or formats in the order draft-11, draft-7, draft-6, legacy,
	// separated by a comma and a space. draft-11 and draft-7 exclude each other. The drafts
	// are those of draft-ietf-httpapi-ratelimit-headers; "legacy" is X-RateLimit-*. Defaults to
	// "draft-11".
	Headers string

	// RefusedStatus is the HTTP status of a refusal, 400 to 599. Defaults to 429.
	RefusedStatus int

	// NoKeyStatus is the HTTP status for a request without a key, 400 to 599. Defaults to 403.
	NoKeyStatus int

	// FailedStatus is the HTTP status if there is no decision, as in an outage of Redis, 400 to
	// 599. Defaults to 503.
	FailedStatus int
}

func (s *settings) response() Response {
	return Response{
		Headers:       s.headers(),
		RefusedStatus: s.status(keyRefusedStatus, defaultRefusedStatus),
		NoKeyStatus:   s.status(keyNoKeyStatus, defaultNoKeyStatus),
		FailedStatus:  s.status(keyFailedStatus, defaultFailedStatus),
	}
}

func (s *settings) status(key string, byDefault int) int {
	if status, ok := s.within(key, minFailure, maxFailure, statusRule); ok {
		return status
	}
	return byDefault
}

// headers returns the canonical form of a set of formats, because one set has many spellings.
func (s *settings) headers() string {
	if !s.merged.Exists(keyHeaders) {
		return formatDraft11
	}
	given, ok := s.list(keyHeaders, headersRule)
	if !ok {
		return ""
	}
	text, _ := s.merged.Get(keyHeaders).(string)
	chosen := map[string]bool{}
	for i, item := range given {
		name, isText := item.(string)
		if slices.Contains(sameAsDraft11, name) {
			name = formatDraft11
		}
		switch {
		case !isText:
			s.invalid(keyHeaders, shown(item)+" is not a format", headersRule)
		case name == "":
			s.invalid(keyHeaders, "format "+strconv.Itoa(i+1)+" is empty", headersRule)
		case !slices.Contains(formats, name):
			s.invalid(keyHeaders, shownPart(name, text)+" is not a format", headersRule)
		}
		chosen[name] = true
	}
	switch {
	case len(given) == 0:
		s.invalid(keyHeaders, "it is empty", headersRule)
	case chosen[formatNone] && len(chosen) > 1:
		s.invalid(keyHeaders, "none does not go with another format", headersRule)
	case chosen[formatDraft11] && chosen[formatDraft7]:
		s.invalid(keyHeaders, "draft-11 does not go with draft-7", headersRule)
	}
	canonical := slices.DeleteFunc(slices.Clone(formats), func(name string) bool { return !chosen[name] })
	return strings.Join(canonical, ", ")
}

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

// Client says how an HTTP server tells its clients apart. Its fields are for echomw.KeyOptions.
type Client struct {
	// IPv6Prefix is how many leading bits of an IPv6 address make a client: 32 to 64. Defaults
	// to 56.
	IPv6Prefix int

	// KeySecret is the secret that hashes keys where [Limit].By says "hashed:": 16 bytes or
	// more. All instances that share a limit need the same one. Defaults to none.
	KeySecret Secret

	// TrustedProxies are the addresses of the proxies whose ProxyHeader is believed. The header is
	// ignored on a connection from any other address. The bits of a prefix beyond its length are
	// 0. Defaults to none: the client is the peer of the connection.
	TrustedProxies []netip.Prefix

	// ProxyHeader is the header in which TrustedProxies give the client's address, in its canonical
	// spelling: "X-Forwarded-For", to which each proxy adds one address, or a header that holds
	// one address. Defaults to "X-Forwarded-For".
	ProxyHeader string
}

func (s *settings) client() Client {
	c := Client{IPv6Prefix: defaultIPv6Prefix, KeySecret: s.secret(keySecret, minSecretBytes, secretRule)}
	if bits, ok := s.within(keyIPv6Prefix, minIPv6Prefix, maxIPv6Prefix, ipv6PrefixRule); ok {
		c.IPv6Prefix = bits
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
		s.problemf("%s needs %s (%s) as well: otherwise no header is believed", s.describe(keyProxyHeader), keyProxies, variableOf(keyProxies))
	}
	return header
}

// proxies are the ranges of addresses that are trusted. The whole internet may be trusted only for a
// header that holds one address: in X-Forwarded-For, clients would choose their own address.
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
			s.invalid(keyProxies, shown(item)+" is every address, and a trusted proxy may write any address into X-Forwarded-For", "the addresses of your proxies only")
		default:
			ranges = append(ranges, prefix)
		}
	}
	return ranges
}

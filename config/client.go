package config

import "fmt"

const (
	defaultIPv6Prefix = 56
	minIPv6Prefix     = 32
	maxIPv6Prefix     = 64

	minSecretBytes = 16

	ipv6PrefixRule = "32 to 64"
	secretRule     = "a text of 16 bytes or more"
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
}

func (s *settings) client() Client {
	c := Client{IPv6Prefix: defaultIPv6Prefix, KeySecret: s.secret(keySecret, minSecretBytes, secretRule)}
	if bits, ok := s.integer(keyIPv6Prefix, ipv6PrefixRule); ok {
		if bits < minIPv6Prefix || bits > maxIPv6Prefix {
			s.invalid(keyIPv6Prefix, "", ipv6PrefixRule)
		}
		c.IPv6Prefix = int(bits)
	}
	return c
}

// secret reports what is wrong without the value, whatever it is: a number may be a
// secret that lacks its quotes.
func (s *settings) secret(key string, least int, allowed string) Secret {
	if !s.isSet(key) {
		return Secret{}
	}
	text, ok := s.merged.Get(key).(string)
	why := ""
	switch {
	case !ok:
		why = textNeeded
	case len(text) < least:
		why = fmt.Sprintf("it has a length of %d", len(text))
	default:
		return Secret{redacted{mask}, func() string { return text }}
	}
	s.problemf("%s, not shown as it is a secret: %s; allowed: %s", s.describe(key), why, allowed)
	return Secret{}
}

package config

import "slices"

const (
	sentinelUserRule     = "the name of a user"
	sentinelPasswordRule = "a text"
)

// sentinelLogin reads how to log in to the sentinels, which have users of their own.
func (s *settings) sentinelLogin(c *Redis) {
	c.SentinelUsername, _ = s.text(keySentinelUser, sentinelUserRule)
	c.SentinelPassword = s.secret(keySentinelPassword, 0, sentinelPasswordRule)
	if c.SentinelUsername != "" && !s.isSet(keySentinelPassword) {
		s.problemf("%s needs %s (%s) as well", s.describe(keySentinelUser), keySentinelPassword, variableOf(keySentinelPassword))
	}
	if c.URL.open == nil || c.InMemory() || c.URL.open().masterSet != "" {
		return
	}
	for _, key := range []string{keySentinelUser, keySentinelPassword} {
		if s.isSet(key) {
			s.problemf("%s is for sentinels; allowed: with master_set in REDIS_URL", s.describe(key))
		}
	}
}

// isSentinel tells whether the address is one of the URL, and that of a sentinel.
func (s *server) isSentinel(addr string) bool {
	return s.masterSet != "" && slices.Contains(s.addrs, addr)
}

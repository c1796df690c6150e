package config

import "slices"

const (
	userRule     = "the name of a user"
	passwordRule = "a text"
)

// login reads how to log in to Redis, apart from REDIS_URL. Each half of the login may be in one
// place or the other. That both places have the same is no fault: platforms, and .env files that
// compose a URL of their variables, set both.
func (s *settings) login(c *Redis) {
	c.Username = s.cleanText(keyUsername, userRule)
	c.Password = s.secret(keyPassword, 0, passwordRule)
	if c.URL.open == nil || c.InMemory() || s.incomplete {
		return
	}
	url := c.URL.open()
	for key, differs := range map[string]bool{
		keyUsername: url.username != "" && url.username != c.Username,
		keyPassword: url.hasPassword && url.password != string(c.Password.Bytes()),
	} {
		if differs && s.isSet(key) {
			s.problemf("%s is not that of REDIS_URL, which has one, too; allowed: one of the two", s.describe(key))
		}
	}
	switch {
	case url.hasPassword || s.isSet(keyPassword):
	case url.username != "":
		s.problemf("%s is %q: it has a user and no password; allowed: a colon before a password, as in redis://:password@host, or a user and a password, as in redis://user:password@host, or the password in %s (%s)",
			s.describe(keyURL), c.URL, keyPassword, variableOf(keyPassword))
	case c.Username != "":
		s.problemf("%s needs %s (%s) as well", s.describe(keyUsername), keyPassword, variableOf(keyPassword))
	}
}

// sentinels reads how to connect to the sentinels, which have users of their own.
func (s *settings) sentinels(c *Redis) {
	c.SentinelUsername = s.cleanText(keySentinelUser, userRule)
	c.SentinelPassword = s.secret(keySentinelPassword, 0, passwordRule)
	if c.SentinelUsername != "" && !s.isSet(keySentinelPassword) {
		s.problemf("%s needs %s (%s) as well", s.describe(keySentinelUser), keySentinelPassword, variableOf(keySentinelPassword))
	}
	if c.URL.open == nil || c.InMemory() || c.URL.open().masterSet != "" {
		return
	}
	for _, key := range []string{keySentinelUser, keySentinelPassword, keySentinelTLS} {
		if s.isSet(key) {
			s.problemf("%s is for sentinels; allowed: with master_set in REDIS_URL", s.describe(key))
		}
	}
}

// besideURL reads the options that may be in REDIS_URL or apart from it, for a URL that is
// somebody else's.
func (s *settings) besideURL(c *Redis) {
	c.SkipVerify, _ = s.boolean(keySkipVerify)
	cache, hasCache := s.boolean(keyClientCache)
	c.DisableClientCache = hasCache && !cache
	if sentinelTLS, ok := s.boolean(keySentinelTLS); ok {
		c.SentinelTLS = &sentinelTLS
	}
	if c.URL.open == nil || c.InMemory() {
		return
	}
	url := c.server()
	for _, option := range []struct{ key, parameter string }{{keySkipVerify, "skip_verify"}, {keyClientCache, "client_cache"}} {
		if s.isSet(option.key) && slices.Contains(url.parameters, option.parameter) {
			s.problemf("%s is %s of REDIS_URL, too; allowed: one of the two", s.describe(option.key), option.parameter)
		}
	}
	if c.SkipVerify && !url.isTLS() && !url.sentinelTLS {
		s.problemf("%s is for TLS; allowed: with a REDIS_URL of rediss:// or valkeys://", s.describe(keySkipVerify))
	}
	if cache && url.resp2 {
		s.problemf("%s does not go with protocol=2 of REDIS_URL; allowed: with protocol=3", s.describe(keyClientCache))
	}
}

// isSentinel tells whether the address is one of the URL, and that of a sentinel.
func (s *server) isSentinel(addr string) bool {
	return s.masterSet != "" && slices.Contains(s.addrs, addr)
}

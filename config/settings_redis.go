package config

import (
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
)

const (
	defaultPrefix   = "rl"
	defaultTimeout  = 250 * time.Millisecond
	defaultLifetime = time.Minute

	maxInstances       = 1_000_000
	maxBatchSize       = 10_000
	maxBatchesInFlight = 1_000

	userRule            = "the name of a user"
	passwordRule        = "a text"
	prefixRule          = "1 to 64 printable ASCII characters other than the space, { and }"
	timeoutRule         = "1ms or more, such as 250ms"
	lifetimeRule        = "1s or more, such as 1m"
	onFailureRule       = "closed, open or fallback"
	instancesRule       = "1 to 1000000"
	batchSizeRule       = "1 to 10000"
	batchesInFlightRule = "1 to 1000"
	leaseRule           = "1ms or more, such as 50ms, or 0s for none"
	fileRule            = "the path of a PEM file"
)

// validPrefix is the rule of slidingwindow.RedisConfig. A test compares the two.
var validPrefix = regexp.MustCompile(`^[!-z|~]{1,64}$`)

// Redis has the settings of the connection to Redis, and of the store that uses it.
type Redis struct {
	// URL says where Redis is, or that there is none; see the package's documentation. Required.
	URL URL

	// Username and Password are the login, or the part of it that REDIS_URL does not have. A
	// password without a user name is for the default user. With sentinels the login is for
	// the data nodes. Default to none.
	Username string
	Password Secret

	// Prefix begins the name of every key in Redis: 1 to 64 printable ASCII
	// characters other than the space and braces. Defaults to "rl".
	Prefix string

	// Timeout bounds one decision: 1ms or more. Defaults to 250ms.
	Timeout time.Duration

	// ConnectionLifetime bounds the life of each connection: 1s or more. The client then looks
	// the address up again and connects; no call fails because of this. So the client leaves an
	// old master that still takes writes after this time at most. Defaults to 1m.
	ConnectionLifetime time.Duration

	// OnFailure says what a store of [Redis.Open] answers when Redis cannot decide a call:
	// guard.Closed, guard.Open or guard.Fallback, which decides in this process. Defaults to
	// guard.Closed.
	OnFailure guard.Policy

	// Instances is how many processes share each limit while they fall back, 1 to 1,000,000:
	// each gives an equal share of it. For guard.Fallback only. Defaults to 1.
	Instances int

	// BatchSize is how many calls may share a command, 1 to 10,000. 1 gives each call a command
	// of its own, which a proxy that spreads keys over servers may need. Defaults to 0, which
	// stands for the default of [slidingwindow.RedisConfig].
	BatchSize int

	// BatchesInFlight is how many commands may be under way at the same time, 1 to 1,000.
	// Defaults to 0, which stands for the default of [slidingwindow.RedisConfig].
	BatchesInFlight int

	// Lease is for how long a store of [Redis.Open] takes units of busy keys ahead: 1ms to the shortest
	// Window of the limits, such as 50ms; see package lease. It applies to all limits of the
	// store. For leases of some limits only, leave it 0 and wrap the store with lease.New. Defaults
	// to 0: Redis decides each call.
	Lease time.Duration

	// DisableClientCache switches client-side caching off. With it, this process remembers
	// refusals as long as they hold; without it, Redis decides each call. It is the opposite of
	// redis.client_cache. client_cache=0 in the URL does the same. Defaults to false.
	DisableClientCache bool

	// SkipVerify makes the client accept any certificate. Then an attacker between it and the
	// server can read and change everything. skip_verify in the URL does the same. Defaults to
	// false.
	SkipVerify bool

	// CAFile is the path of a PEM file with the certificates of the authorities that the client
	// trusts to sign the server's certificate. Defaults to "": those that the system trusts.
	// CertFile and KeyFile are the paths of the certificate that the client shows to the server,
	// and of its private key. Default to "": the client shows none.
	//
	// All three need TLS: rediss://, valkeys:// or SentinelTLS. They serve data nodes and sentinels.
	// They are read again for every new connection, so a renewed certificate needs no restart.
	CAFile, CertFile, KeyFile string

	// SentinelUsername and SentinelPassword are the login of the sentinels. The login of
	// REDIS_URL is for the data nodes only. A password without a user name is for the default
	// user. Default to none.
	SentinelUsername string
	SentinelPassword Secret

	// SentinelTLS is whether the sentinels speak TLS. Defaults to nil: they do if the data
	// nodes do, by rediss:// in the URL.
	SentinelTLS *bool

	// Logger gets a record when a connection is made, fails or is made again. The program sets
	// it; Load does not. nil stands for slog.Default() at the time of Connect.
	Logger *slog.Logger `json:"-" yaml:"-"`

	// OnBatch is for OnBatch of [slidingwindow.RedisConfig], for metrics. The program sets it; Load
	// does not. Optional.
	OnBatch func(calls int) `json:"-" yaml:"-"`

	large []Limit // the limits that Open warns of
}

// InMemory reports whether the URL is memory://. The logs are then in a [memory.Store], and there
// is nothing to connect to.
func (r Redis) InMemory() bool {
	return r.URL.open != nil && r.URL.open().scheme == schemeMemory
}

// StoreConfig returns the settings for [slidingwindow.NewRedisStore].
func (r Redis) StoreConfig() slidingwindow.RedisConfig {
	return slidingwindow.RedisConfig{
		Prefix:             r.Prefix,
		Timeout:            r.Timeout,
		ConnectionLifetime: r.ConnectionLifetime,
		BatchSize:          r.BatchSize,
		BatchesInFlight:    r.BatchesInFlight,
		OnBatch:            r.OnBatch,
	}
}

// redis reads the settings of the section redis.
func (s *settings) redis() Redis {
	c := Redis{Prefix: defaultPrefix, Timeout: defaultTimeout, ConnectionLifetime: defaultLifetime, OnFailure: guard.Closed}
	if text, ok := s.text(keyPrefix, prefixRule); ok {
		if fault := stray(text); fault != "" || !validPrefix.MatchString(text) {
			s.invalid(keyPrefix, fault, prefixRule)
		}
		c.Prefix = text
	}
	if timeout, ok := s.atLeast(keyTimeout, time.Millisecond, timeoutRule); ok {
		c.Timeout = timeout
	}
	if size, ok := s.within(keyBatchSize, 1, maxBatchSize, batchSizeRule); ok {
		c.BatchSize = size
	}
	if batches, ok := s.within(keyBatchesInFlight, 1, maxBatchesInFlight, batchesInFlightRule); ok {
		c.BatchesInFlight = batches
	}
	if lease, ok := s.duration(keyLease, leaseRule); ok {
		if lease != 0 && lease < time.Millisecond {
			s.invalid(keyLease, "", leaseRule)
		}
		c.Lease = lease
	}
	if lifetime, ok := s.atLeast(keyLifetime, time.Second, lifetimeRule); ok {
		c.ConnectionLifetime = lifetime
	}
	s.onFailure(&c)
	c.URL = s.url()
	s.login(&c)
	s.besideURL(&c)
	s.tlsFiles(&c)
	s.sentinels(&c)
	return c
}

func (s *settings) onFailure(c *Redis) {
	if text, ok := s.text(keyOnFailure, onFailureRule); ok && text != "" {
		switch policy := guard.Policy(text); policy {
		case guard.Closed, guard.Open, guard.Fallback:
			c.OnFailure = policy
		default:
			s.invalid(keyOnFailure, "", onFailureRule)
		}
	}
	instances, ok := s.within(keyInstances, 1, maxInstances, instancesRule)
	if !ok {
		return
	}
	if c.OnFailure != guard.Fallback {
		s.problemf("%s is for the fallback; allowed: with %s (%s) fallback, which is %s",
			s.describe(keyInstances), keyOnFailure, variableOf(keyOnFailure), c.OnFailure)
		return
	}
	c.Instances = instances
}

func (s *settings) url() URL {
	if value := s.merged.Get(keyURL); value == nil || value == "" {
		if !s.incomplete {
			s.problems = append(s.problems, errRequired)
		}
		return URL{}
	}
	raw, ok := s.merged.Get(keyURL).(string)
	if !ok {
		s.problemf("%s is not a text; allowed: a URL such as redis://localhost:6379", s.describe(keyURL))
		return URL{}
	}
	u, faults := parseURL(raw)
	for _, fault := range faults {
		if u.shown == "" {
			s.problemf("%s, not shown as it may hold a password: %s", s.describe(keyURL), fault)
			continue
		}
		s.problemf("%s is %q: %s", s.describe(keyURL), u.shown, fault)
	}
	return u
}

// login reads the user and the password that are not in REDIS_URL. Each of them may be in one
// place or in the other. The same value in both is no fault, because platforms set both, and so do
// .env files that compose the URL from other variables.
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
			s.problemf("%s differs from that of REDIS_URL; allowed: one of the two", s.describe(key))
		}
	}
	switch {
	case url.hasPassword || s.isSet(keyPassword):
	case url.username != "":
		s.problemf("%s is %q: it has a user and no password; allowed: a colon before a password, as in redis://:password@host, or a user and a password, as in redis://user:password@host, or the password in %s (%s)",
			s.describe(keyURL), c.URL, keyPassword, variableOf(keyPassword))
	case c.Username != "":
		s.needs(keyUsername, keyPassword)
	}
}

// sentinels reads the login of the sentinels, which have users of their own.
func (s *settings) sentinels(c *Redis) {
	c.SentinelUsername = s.cleanText(keySentinelUser, userRule)
	c.SentinelPassword = s.secret(keySentinelPassword, 0, passwordRule)
	if c.SentinelUsername != "" && !s.isSet(keySentinelPassword) {
		s.needs(keySentinelUser, keySentinelPassword)
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

// besideURL reads the options that may be in REDIS_URL or in a setting of their own, for programs
// that do not choose their URL.
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
			s.problemf("%s is %s of REDIS_URL as well; allowed: one of the two", s.describe(option.key), option.parameter)
		}
	}
	if c.SkipVerify {
		s.isForTLS(keySkipVerify, url)
	}
	if cache && url.resp2 {
		s.problemf("%s does not go with protocol=2 of REDIS_URL; allowed: with protocol=3", s.describe(keyClientCache))
	}
}

// tlsFiles reads the paths. The files are read for each connection.
func (s *settings) tlsFiles(c *Redis) {
	for key, path := range map[string]*string{keyCAFile: &c.CAFile, keyCertFile: &c.CertFile, keyKeyFile: &c.KeyFile} {
		*path = s.cleanText(key, fileRule)
	}
	switch {
	case c.CertFile != "" && !s.isSet(keyKeyFile):
		s.needs(keyCertFile, keyKeyFile)
	case c.KeyFile != "" && !s.isSet(keyCertFile):
		s.needs(keyKeyFile, keyCertFile)
	}
	if c.URL.open == nil || c.InMemory() {
		return
	}
	url := c.server()
	for _, key := range []string{keyCAFile, keyCertFile, keyKeyFile} {
		if s.isSet(key) {
			s.isForTLS(key, url)
		}
	}
	if c.CAFile != "" && url.skipVerify {
		s.problemf("%s does not go with skip_verify, which checks no certificate; allowed: one of the two", s.describe(keyCAFile))
	}
}

// needs reports that key has a value and missing has none, although key is of no use without it.
func (s *settings) needs(key, missing string) {
	s.problemf("%s needs %s (%s) as well", s.describe(key), missing, variableOf(missing))
}

// isForTLS reports a setting that has a value although no server speaks TLS.
func (s *settings) isForTLS(key string, url *server) {
	if !url.isTLS() && !url.sentinelTLS {
		s.problemf("%s is for TLS; allowed: with a REDIS_URL of rediss:// or valkeys://", s.describe(key))
	}
}

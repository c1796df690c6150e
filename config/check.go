package config

import (
	"math"
	"regexp"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
)

const (
	urlRequired = "REDIS_URL is required: set it to redis://localhost:6379, or memory:// to limit within this process only"

	wholeNumber  = "a whole number is needed"
	plainNumber  = "write it without a plus sign or leading zeros, as %s"
	needsUnit    = "a duration needs a unit"
	notADuration = "it is not a duration"
	tooLong      = "it is longer than 290 years"
	textNeeded   = "a text is needed"

	hostRule    = "a host name or an IP address"
	portRule    = "1 to 65535"
	prefixRule  = "1 to 64 printable ASCII characters other than the space, { and }"
	timeoutRule = "1ms or more, such as 250ms"

	lifetimeRule = "1s or more, such as 1m"
	trueOrFalse  = "true or false"

	onFailureRule = "closed, open or fallback"
	instancesRule = "1 to 1000000"
	maxInstances  = 1_000_000

	maxBatchSize        = 10_000
	maxBatchesInFlight  = 1_000
	batchSizeRule       = "1 to 10000"
	batchesInFlightRule = "1 to 1000"

	longList = 90 // bytes; a message has a longer one once
)

// The rule of slidingwindow.RedisConfig; a test holds the two together.
var validPrefix = regexp.MustCompile(`^[!-z|~]{1,64}$`)

// config turns the merged values into a Config and reports those that are wrong.
func (s *settings) config() *Config {
	c := &Config{
		Port: defaultPort,
		Redis: Redis{
			Prefix: defaultPrefix, Timeout: defaultTimeout, ConnectionLifetime: defaultLifetime, OnFailure: guard.Closed,
		},
		Limits: map[string]Limit{},
	}
	c.from = map[string]string{keyHost: s.describe(keyHost), keyPort: s.describe(keyPort)}
	if host, ok := s.text(keyHost, hostRule); ok {
		if host != "" && !isHost(host) {
			s.invalid(keyHost, "", hostRule)
		}
		c.Host = host
	}
	if port, ok := s.integer(keyPort, portRule); ok {
		if port < 1 || port > math.MaxUint16 {
			s.invalid(keyPort, "", portRule)
		}
		c.Port = int(port)
	}
	if text, ok := s.text(keyPrefix, prefixRule); ok {
		if fault := stray(text); fault != "" || !validPrefix.MatchString(text) {
			s.invalid(keyPrefix, fault, prefixRule)
		}
		c.Redis.Prefix = text
	}
	if timeout, ok := s.duration(keyTimeout, timeoutRule); ok {
		if timeout < time.Millisecond {
			s.invalid(keyTimeout, "", timeoutRule)
		}
		c.Redis.Timeout = timeout
	}
	if size, ok := s.within(keyBatchSize, maxBatchSize, batchSizeRule); ok {
		c.Redis.BatchSize = size
	}
	if batches, ok := s.within(keyBatchesInFlight, maxBatchesInFlight, batchesInFlightRule); ok {
		c.Redis.BatchesInFlight = batches
	}
	if lifetime, ok := s.duration(keyLifetime, lifetimeRule); ok {
		if lifetime < time.Second {
			s.invalid(keyLifetime, "", lifetimeRule)
		}
		c.Redis.ConnectionLifetime = lifetime
	}
	s.onFailure(&c.Redis)
	c.Redis.URL = s.url()
	s.login(&c.Redis)
	s.besideURL(&c.Redis)
	s.tlsFiles(&c.Redis)
	s.sentinels(&c.Redis)
	c.Response = s.response()
	c.Client = s.client()
	for _, name := range s.merged.MapKeys(sectionLimits) {
		limit := s.limit(name)
		c.Limits[name] = limit
		if limit.isLarge() {
			c.Redis.large = append(c.Redis.large, limit)
		}
	}
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
	instances, ok := s.within(keyInstances, maxInstances, instancesRule)
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

// within is a whole number from 1 to most.
func (s *settings) within(key string, most int64, allowed string) (n int, ok bool) {
	value, ok := s.integer(key, allowed)
	if ok && (value < 1 || value > most) {
		s.invalid(key, "", allowed)
		return 0, false
	}
	return int(value), ok
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

// describe names a setting and where it comes from, which it must.
func (s *settings) describe(key string) string {
	from, ok := s.origins[key]
	if !ok {
		return key
	}
	return from.describe(key)
}

// invalid reports the value of a key. why may be empty.
func (s *settings) invalid(key, why, allowed string) {
	if why != "" {
		why = ": " + why
	}
	if len(allowed) > longList {
		allowed = s.once(allowed)
	}
	s.problemf("%s is %s%s; allowed: %s", s.describe(key), shown(s.merged.Get(key)), why, allowed)
}

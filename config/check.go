package config

import (
	"errors"
	"math"
	"regexp"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	urlRequired = "REDIS_URL is required: set it to redis://localhost:6379, or memory:// to limit within this process only"

	wholeNumber  = "a whole number is needed"
	plainNumber  = "write it without a plus sign or leading zeros, as %s"
	needsUnit    = "a duration needs a unit"
	notADuration = "it is not a duration"
	textNeeded   = "a text is needed"

	hostRule    = "a host name or an IP address"
	portRule    = "1 to 65535"
	prefixRule  = "1 to 64 printable ASCII characters other than the space, { and }"
	timeoutRule = "1ms or more, such as 250ms"
)

// The rule of slidingwindow.RedisConfig; a test holds the two together.
var validPrefix = regexp.MustCompile(`^[!-z|~]{1,64}$`)

// config turns the merged values into a Config and reports those that are wrong.
func (s *settings) config() *Config {
	c := &Config{
		Port:   defaultPort,
		Redis:  Redis{Prefix: defaultPrefix, Timeout: defaultTimeout},
		Limits: map[string]slidingwindow.Limit{},
	}
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
		if !validPrefix.MatchString(text) {
			s.invalid(keyPrefix, "", prefixRule)
		}
		c.Redis.Prefix = text
	}
	if timeout, ok := s.duration(keyTimeout, timeoutRule); ok {
		if timeout < time.Millisecond {
			s.invalid(keyTimeout, "", timeoutRule)
		}
		c.Redis.Timeout = timeout
	}
	c.Redis.URL = s.url()
	for _, name := range s.merged.MapKeys(sectionLimits) {
		c.Limits[name] = s.limit(name)
	}
	return c
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

func (s *settings) limit(name string) slidingwindow.Limit {
	maxKey, windowKey := limitKey(name, fieldMax), limitKey(name, fieldWindow)
	maxRule, windowRule := limitRules()
	for _, half := range []struct{ key, example string }{{maxKey, "100"}, {windowKey, "15m"}} {
		if !s.merged.Exists(half.key) && !s.incomplete {
			s.problemf("%s is not set: limit %q needs it; set %s in the environment, or %s in the YAML file, to a value such as %s",
				half.key, name, variableOf(half.key), half.key, half.example)
		}
	}
	limit := slidingwindow.Limit{Name: name, Max: 1, Window: time.Second} // sound, so that each half is judged alone
	if units, ok := s.integer(maxKey, maxRule); ok {
		limit.Max = units
	}
	if window, ok := s.duration(windowKey, windowRule); ok {
		limit.Window = window
	}
	for _, fault := range limitFaults(limit) {
		if fault.Field == "Window" {
			s.invalid(windowKey, "", fault.Allowed+", such as 15m")
			continue
		}
		s.invalid(maxKey, "", fault.Allowed)
	}
	return limit
}

// limitFaults are the faults that slidingwindow finds, which makes the rules there
// the rules here.
func limitFaults(limit slidingwindow.Limit) (faults []*slidingwindow.LimitError) {
	var joined interface{ Unwrap() []error }
	if !errors.As(limit.Validate(), &joined) {
		return nil
	}
	for _, err := range joined.Unwrap() {
		var fault *slidingwindow.LimitError
		if errors.As(err, &fault) {
			faults = append(faults, fault)
		}
	}
	return faults
}

// limitRules are the allowed values of a limit, in the words of slidingwindow.
func limitRules() (maxRule, windowRule string) {
	for _, fault := range limitFaults(slidingwindow.Limit{Max: -1}) {
		switch fault.Field {
		case "Max":
			maxRule = fault.Allowed
		case "Window":
			windowRule = fault.Allowed + ", such as 15m"
		}
	}
	return maxRule, windowRule
}

func (s *settings) describe(key string) string { return s.origins[key].describe(key) }

// invalid reports the value of a key. why may be empty.
func (s *settings) invalid(key, why, allowed string) {
	if why != "" {
		why = ": " + why
	}
	s.problemf("%s is %s%s; allowed: %s", s.describe(key), shown(s.merged.Get(key)), why, allowed)
}

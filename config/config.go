package config

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	defaultPort    = 8080
	defaultPrefix  = "rl"
	defaultTimeout = 250 * time.Millisecond

	defaultLifetime = time.Minute
)

// Config is a checked configuration. Make one with [Load].
type Config struct {
	// Host is the name or the IP address that the program serves on. Defaults to "",
	// which stands for every address of the computer, as in net.Listen.
	Host string

	// Port is the TCP port that the program serves on, 1 to 65535. Defaults to 8080.
	Port int

	// Redis says where the logs of the limits are kept.
	Redis Redis

	// Limits are the named limits, by name. Each one's Name is its key. Never nil;
	// empty if none is configured.
	Limits map[string]Limit

	// Response says what a program that serves HTTP answers.
	Response Response

	// Client says how the clients of such a program are told apart.
	Client Client
}

// Limit returns the limit of that name. If none is configured the error says how to
// configure it; it matches [ErrInvalid].
func (c *Config) Limit(name string) (Limit, error) {
	limit, ok := c.Limits[name]
	if ok {
		return limit, nil
	}
	if !isLimitName(name) {
		return Limit{}, problems{fmt.Errorf("%s is not the name of a limit; allowed: %s", shown(name), limitNameRule)}
	}
	maxKey, windowKey := limitKey(name, fieldMax), limitKey(name, fieldWindow)
	known := "none"
	if len(c.Limits) > 0 {
		known = strings.Join(slices.Sorted(maps.Keys(c.Limits)), ", ")
	}
	return Limit{}, problems{fmt.Errorf("limit %q is not configured: set %s and %s, or %s and %s in the YAML file; configured: %s",
		name, variableOf(maxKey), variableOf(windowKey), maxKey, windowKey, known)}
}

// Redis has the settings of the connection to Redis, or says that there is none.
type Redis struct {
	// URL is where Redis is; see the package's documentation. Required.
	URL URL

	// Prefix begins the name of every key in Redis: 1 to 64 printable ASCII
	// characters other than the space and braces. Defaults to "rl".
	Prefix string

	// Timeout bounds one decision: 1ms or more. Defaults to 250ms.
	Timeout time.Duration

	// ConnectionLifetime bounds the life of each connection: 1s or more. Then the client
	// connects again, to where the address leads by then, and no call fails by it. So an old
	// master that still takes writes is left after that time. Defaults to 1m.
	ConnectionLifetime time.Duration

	// OnFailure is what becomes of a call that Redis cannot decide, with a store of
	// [Redis.Open]: FailClosed, FailOpen or FallBack, which decides in this process.
	// Defaults to FailClosed.
	OnFailure slidingwindow.FailurePolicy

	// Instances is how many processes fall back at the same time, 1 or more: each then gives
	// an equal share of every limit. It is for FallBack. Defaults to 1.
	Instances int

	// CAFile is the path of a PEM file with the certificates of the authorities that may
	// have signed the server's. Defaults to "", which stands for those of the system.
	// CertFile and KeyFile are those of the certificate, and of its private key, that the
	// server asks this program for. Default to "": none is shown.
	//
	// All three are for rediss:// and valkeys:// only, and for the sentinels too. They are read
	// again for every new connection, so a renewed certificate needs no restart.
	CAFile, CertFile, KeyFile string

	// SentinelUsername and SentinelPassword are the login of the sentinels, if there are any:
	// that of REDIS_URL is for the data nodes only. A password without a user name is that of
	// the default user. Default to none.
	SentinelUsername string
	SentinelPassword Secret

	// Logger gets a record when a connection is made, fails or is made again. It is
	// not loaded. nil stands for slog.Default() at the time of Connect.
	Logger *slog.Logger `json:"-" yaml:"-"`
}

// InMemory reports whether the URL is memory://: limits are then kept in a
// [slidingwindow.MemoryStore], and there is nothing to connect to.
func (r Redis) InMemory() bool {
	return r.URL.open != nil && r.URL.open().scheme == schemeMemory
}

// server returns what the URL and the other settings say of Redis.
func (r Redis) server() *server {
	s := *r.URL.open()
	s.decision = r.Timeout
	s.lifetime = r.ConnectionLifetime
	s.files = r.tlsFiles()
	s.sentinelUsername = r.SentinelUsername
	s.sentinelPassword = string(r.SentinelPassword.Bytes())
	return &s
}

// Store returns the settings for [slidingwindow.NewRedisStore].
func (r Redis) Store() slidingwindow.RedisConfig {
	return slidingwindow.RedisConfig{Prefix: r.Prefix, Timeout: r.Timeout}
}

package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
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

	from map[string]string // the keys host and port, with where they come from

	// For Watch, behind functions because they hold secrets. nil if c was not loaded.
	sources func() Sources
	values  func() map[string]any // by key
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

// Listen listens on Host and Port, for a program that serves. Its error says which of the two is
// at fault and where it came from, as shells and tools set a HOST of their own. A Host that
// resolves to 127.0.1.1, as the name of a computer with Debian does, lets nobody in from
// elsewhere: logger warns of it. nil stands for slog.Default().
func (c *Config) Listen(ctx context.Context, logger *slog.Logger) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port)))
	if err != nil {
		key, value := keyPort, strconv.Itoa(c.Port)
		var dns *net.DNSError
		if errors.As(err, &dns) || errors.Is(err, syscall.EADDRNOTAVAIL) {
			key, value = keyHost, strconv.Quote(c.Host)
		}
		return nil, fmt.Errorf("cannot listen: %s is %s: %w", c.origin(key), value, err)
	}
	c.warnOfHost(ctx, listener.Addr(), logger)
	return listener, nil
}

// warnOfHost tells of a name that stands for 127.0.1.1.
func (c *Config) warnOfHost(ctx context.Context, addr net.Addr, logger *slog.Logger) {
	if isIP(c.Host) || !isSelfOnly(addr) {
		return
	}
	if logger == nil {
		logger = slog.Default()
	}
	logger.WarnContext(ctx, "the host resolves to 127.0.1.1, where no other computer can connect",
		"host", c.Host, "from", c.origin(keyHost), "allowed", "127.0.0.1 for this computer, 0.0.0.0 for every address")
}

// origin names a setting and where it came from.
func (c *Config) origin(key string) string {
	if from, ok := c.from[key]; ok {
		return from
	}
	return key
}

// isSelfOnly tells the address that Debian gives to a computer's own name.
func isSelfOnly(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.Equal(net.IPv4(127, 0, 1, 1))
}

// Redis has the settings of the connection to Redis, or says that there is none.
type Redis struct {
	// URL is where Redis is; see the package's documentation. Required.
	URL URL

	// Username and Password are the login, or the half of it that REDIS_URL does not have: a
	// URL that a platform sets need not be changed to add one. A password without a user
	// name is that of the default user. Default to none. With sentinels they are for the data
	// nodes.
	Username string
	Password Secret

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
	// [Redis.Open]: guard.Closed, guard.Open or guard.Fallback, which decides in this process.
	// Defaults to guard.Closed.
	OnFailure guard.Policy

	// Instances is how many processes fall back at the same time, 1 or more: each then gives
	// an equal share of every limit. It is for guard.Fallback. Defaults to 1.
	Instances int

	// BatchSize is how many calls share a command at most, 1 to 10,000. With 1 each call has
	// a command of its own, which a proxy that spreads keys over servers may need. Defaults to
	// 0, which stands for the default of [slidingwindow.RedisConfig].
	BatchSize int

	// BatchesInFlight is how many commands may be under way at a time, 1 to 1,000; see
	// [slidingwindow.RedisConfig]. Defaults to 0, which stands for the default there.
	BatchesInFlight int

	// Lease is for how long a store of [Redis.Open] takes units of busy keys ahead: 1ms to the shortest
	// Window of the limits, such as 50ms; see package lease. It is of all limits of the store: to
	// have it for some, wrap the store for those with lease.New. Defaults to 0: each call is
	// decided by Redis.
	Lease time.Duration

	// DisableClientCache switches Redis's client-side caching off, by which refusals that stand
	// are kept in this process: it is redis.client_cache, reversed, and client_cache=0 in the
	// URL does the same. Defaults to false.
	DisableClientCache bool

	// SkipVerify makes the client take any certificate, so that who can get between it and
	// the server can read and change all. skip_verify in the URL does the same. Defaults to false.
	SkipVerify bool

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

	// SentinelTLS is whether the sentinels speak TLS. Defaults to nil, which stands for
	// what the data nodes do: the URL says so by rediss:// or redis://.
	SentinelTLS *bool

	// Logger gets a record when a connection is made, fails or is made again. It is
	// not loaded. nil stands for slog.Default() at the time of Connect.
	Logger *slog.Logger `json:"-" yaml:"-"`

	// OnBatch is that of [slidingwindow.RedisConfig], for metrics. It is not loaded. Optional.
	OnBatch func(calls int) `json:"-" yaml:"-"`

	large []Limit // that Open warns of
}

// InMemory reports whether the URL is memory://: limits are then kept in a
// [memory.Store], and there is nothing to connect to.
func (r Redis) InMemory() bool {
	return r.URL.open != nil && r.URL.open().scheme == schemeMemory
}

// server returns what the URL and the other settings say of Redis.
func (r Redis) server() *server {
	s := *r.URL.open()
	s.decision = r.Timeout
	s.lifetime = r.ConnectionLifetime
	s.files = r.tlsFiles()
	if r.Username != "" {
		s.username = r.Username
	}
	if password := r.Password.Bytes(); len(password) > 0 {
		s.password, s.loginApart = string(password), true
	}
	s.noCache = s.noCache || r.DisableClientCache
	s.skipVerify = s.skipVerify || r.SkipVerify
	if r.SentinelTLS != nil {
		s.sentinelTLS = *r.SentinelTLS
	}
	s.sentinelUsername = r.SentinelUsername
	s.sentinelPassword = string(r.SentinelPassword.Bytes())
	return &s
}

// StoreConfig returns the settings for [slidingwindow.NewRedisStore].
func (r Redis) StoreConfig() slidingwindow.RedisConfig {
	return slidingwindow.RedisConfig{Prefix: r.Prefix, Timeout: r.Timeout, ConnectionLifetime: r.ConnectionLifetime, BatchSize: r.BatchSize, BatchesInFlight: r.BatchesInFlight, OnBatch: r.OnBatch}
}

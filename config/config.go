package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	defaultPort = 8080

	hostRule = "a host name or an IP address"
	portRule = "1 to 65535"
)

// Config is a checked configuration. [Load] makes one.
type Config struct {
	// Host is the host name or the IP address that the program listens on. Defaults to "":
	// every address of the computer, as in net.Listen.
	Host string

	// Port is the TCP port that the program listens on, 1 to 65535. Defaults to 8080.
	Port int

	// Redis is the section redis: where the logs of the limits are, and how to connect.
	Redis Redis

	// Limits are the limits by name. Never nil; empty if no limit is configured.
	Limits map[string]Limit

	// Response is the section response: what an HTTP server answers.
	Response Response

	// Client is the section client: how an HTTP server tells its clients apart.
	Client Client

	from map[string]string // where host and port come from, by key

	// For Watch, behind functions because they hold secrets. nil if c was not loaded.
	sources func() Sources
	values  func() map[string]any // by key
}

// Limit returns the limit of that name. If it is not configured, the error says how to
// configure it and matches [ErrInvalid].
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

// config turns the merged values into a Config and reports those that are wrong.
func (s *settings) config() *Config {
	c := &Config{Port: defaultPort, Limits: map[string]Limit{}}
	c.from = map[string]string{keyHost: s.describe(keyHost), keyPort: s.describe(keyPort)}
	if host, ok := s.text(keyHost, hostRule); ok {
		if host != "" && !isHost(host) {
			s.invalid(keyHost, "", hostRule)
		}
		c.Host = host
	}
	if port, ok := s.within(keyPort, 1, math.MaxUint16, portRule); ok {
		c.Port = port
	}
	c.Redis = s.redis()
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

// Listen listens on Host and Port. Its error says which of the two is wrong and where it came from,
// because some shells and tools set a HOST of their own. Listen warns logger of a Host that resolves
// to 127.0.1.1, as the own name of a computer with Debian does: no other computer can connect
// there. A nil logger stands for slog.Default().
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

// warnOfHost warns of a host name that resolves to 127.0.1.1.
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

// isSelfOnly reports whether addr is the one that Debian gives to a computer's own name.
func isSelfOnly(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.Equal(net.IPv4(127, 0, 1, 1))
}

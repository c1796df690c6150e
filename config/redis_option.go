package config

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/redis/rueidis"
)

const (
	defaultDialTimeout = 5 * time.Second

	// The client's own default is 10s. A connection that dies without a word, as when a
	// machine loses its power, is found out by a ping a second that gets no answer in
	// this time; until then all calls fail. It bounds the login, too.
	defaultWriteTimeout = 2 * time.Second

	// A batch of 256 calls takes about 20 kB to ask for, and 10 kB to answer.
	bufferSize = 32 << 10
	ringScale  = 8 // 256 commands

	// As rueidis advises: a client that misses one message about a fail-over would
	// else stay with the old master.
	sentinelRefresh = 5 * time.Second
)

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

func (s *server) isTLS() bool { return s.scheme == "rediss" }

// speaksTLS tells whether the server at an address does.
func (s *server) speaksTLS(addr string) bool {
	if s.isSentinel(addr) {
		return s.sentinelTLS
	}
	return s.isTLS()
}

// timeout bounds connecting to one address, TLS included.
func (s *server) timeout() time.Duration {
	if s.dialTimeout > 0 {
		return s.dialTimeout
	}
	return defaultDialTimeout
}

// replyTimeout bounds the wait for one reply, after which the connection is given up. It
// must not be what ends a decision.
func (s *server) replyTimeout() time.Duration {
	if s.writeTimeout > 0 {
		return s.writeTimeout
	}
	return max(defaultWriteTimeout, 2*s.decision)
}

func (s *server) connectionLifetime() time.Duration {
	if s.lifetime > 0 {
		return s.lifetime
	}
	return defaultLifetime
}

// option is the client's option, without its dial function.
func (s *server) option() rueidis.ClientOption {
	option := rueidis.ClientOption{
		InitAddress:      slices.Clone(s.addrs),
		Username:         s.username,
		Password:         s.password,
		SelectDB:         s.db,
		ClientName:       s.clientName,
		Dialer:           net.Dialer{Timeout: s.timeout()},
		ConnWriteTimeout: s.replyTimeout(),
		AlwaysRESP2:      s.resp2,
		DisableCache:     s.noCache || s.resp2, // the cache needs RESP3
		DisableRetry:     s.noRetry,
		ConnLifetime:     s.connectionLifetime(),

		// Else each connection of Redis 7.2 and later is denied two commands, which fill its
		// ACL LOG, or the user needs one more right for nothing.
		ClientSetInfo: rueidis.DisableClientSetInfo,

		// A store has a connection for each batch under way, 2 to 32. They are closed after their
		// lifetime. (Not by BlockingPoolCleanup: that holds the pool's lock while it waits for a
		// server that hangs.) The client's own default is 1 MiB of buffers for each, and room
		// for 1,024 commands to wait.
		ReadBufferEachConn:  bufferSize,
		WriteBufferEachConn: bufferSize,
		RingScaleEachConn:   ringScale,
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.skipVerify}
	if s.isTLS() {
		option.TLSConfig = tlsConfig
	}
	if s.masterSet != "" {
		option.Sentinel = rueidis.SentinelOption{
			MasterSet:               s.masterSet,
			Username:                s.sentinelUsername,
			Password:                s.sentinelPassword,
			ClientName:              s.clientName,
			Dialer:                  option.Dialer,
			TopologyRefreshInterval: sentinelRefresh,
		}
		if s.sentinelTLS {
			option.Sentinel.TLSConfig = tlsConfig
		}
	}
	return option
}

// serverName is the name that the certificate of an address must hold. An address of
// the URL goes by its own host. A node that the cluster or the sentinels name often
// goes by an IP address, which certificates seldom hold; it then must show the name
// of the URL's host, which the user trusts.
func (s *server) serverName(addr string) string {
	host := hostOf(addr)
	if slices.Contains(s.addrs, addr) || !isIP(host) {
		return host
	}
	if first := hostOf(s.addrs[0]); !isIP(first) {
		return first
	}
	return host
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// isSentinel tells whether the address is one of the URL, and that of a sentinel.
func (s *server) isSentinel(addr string) bool {
	return s.masterSet != "" && slices.Contains(s.addrs, addr)
}

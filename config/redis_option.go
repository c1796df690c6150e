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

	// The client's own default is 10s. When a machine loses its power, the connection does not
	// break. The client then notices only when a ping gets no answer in this time; it sends one
	// a second. Until then all calls fail. It bounds the login too.
	defaultWriteTimeout = 2 * time.Second

	// A batch of 256 calls takes about 20 kB to ask for, and 10 kB to answer.
	bufferSize = 32 << 10
	ringScale  = 8 // 256 commands

	// As rueidis advises: otherwise a client that misses one message about a failover stays
	// with the old master.
	sentinelRefresh = 5 * time.Second
)

// server returns what the URL and the other settings say about Redis.
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

// speaksTLS reports whether the server at an address speaks TLS.
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

// replyTimeout bounds the wait for one reply. The client then gives the connection up. It is longer
// than a decision may take, so that the timeout of the decision comes first.
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

		// Otherwise the user needs one more right on Redis 7.2 and later. Without it the server
		// refuses two commands for each connection, which fill its ACL LOG.
		ClientSetInfo: rueidis.DisableClientSetInfo,

		// A store has a connection for each batch under way, 2 to 32, and closes it after its
		// lifetime. (BlockingPoolCleanup must not close it: that holds the pool's lock while it
		// waits for a server that hangs.) The client's own defaults for each connection are 1 MiB
		// of buffers and room for 1,024 commands.
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

// serverName is the name that the certificate of an address must have. For an address of the URL it
// is the host of the address. Clusters and sentinels often name a node by its IP address, which
// certificates seldom have. Such a node must have the name of the URL's host, which the user trusts.
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

// isSentinel reports whether the address is one of the URL's and belongs to a sentinel.
func (s *server) isSentinel(addr string) bool {
	return s.masterSet != "" && slices.Contains(s.addrs, addr)
}

package config

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/redisconn"
)

// monitor dials for the client and watches its connections: to log when an address
// fails and when it is back, and to know why connecting failed, which the client's
// own errors do not always tell.
type monitor struct {
	server *server
	logger *slog.Logger

	mu    sync.Mutex
	nodes map[string]*node
	order []string                  // the addresses in nodes, as they came up
	conns map[*watchedConn]struct{} // open ones
	ended bool                      // Connect gave up

	giveUp chan struct{} // closed when ended
	outage bool          // connect failed for something that passes by itself
}

// node is the state of one address.
type node struct {
	known bool // has answered once
	down  bool
	err   error // why it is down
	// episode counts the failures, so that a connection made before the last one
	// does not count as one more when it breaks late.
	episode int
	cluster bool      // is one of a cluster, by its reply to the login
	left    time.Time // when a connection was last closed because the server refused
}

// Of servers that refuse, and to which new connections lead again and again, one record is
// enough in such a time.
const refusedEvery = time.Minute

func newMonitor(s *server, logger *slog.Logger) *monitor {
	return &monitor{server: s, logger: logger, nodes: map[string]*node{}, conns: map[*watchedConn]struct{}{}, giveUp: make(chan struct{})}
}

var errGaveUp = errors.New("connecting was given up")

// dial implements rueidis.ClientOption.DialCtxFn. The dialer's timeout bounds the TLS
// handshake too.
func (m *monitor) dial(ctx context.Context, addr string, dialer *net.Dialer, tlsConfig *tls.Config) (net.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, dialer.Timeout)
	defer cancel()
	go func() {
		select {
		case <-m.giveUp:
			cancel()
		case <-bounded.Done():
		}
	}()
	network := "tcp"
	if m.server.scheme == schemeUnix {
		network = "unix"
	}
	conn, err := dialer.DialContext(bounded, network, addr)
	if err == nil && tlsConfig != nil {
		conn, err = m.server.secure(bounded, conn, addr, tlsConfig)
	}
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) { // else the caller lost interest
			m.markDown(addr, nil, err)
		}
		return nil, err
	}
	return m.watch(ctx, addr, conn)
}

func (m *monitor) watch(ctx context.Context, addr string, conn net.Conn) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		_ = conn.Close()
		return nil, errGaveUp
	}
	c := &watchedConn{Conn: redisconn.Wrap(ctx, conn), monitor: m, addr: addr, episode: m.node(addr).episode}
	m.conns[c] = struct{}{}
	return c, nil
}

// node returns the state of an address. m.mu must be held.
func (m *monitor) node(addr string) *node {
	n := m.nodes[addr]
	if n == nil {
		n = &node{}
		m.nodes[addr] = n
		m.order = append(m.order, addr)
	}
	return n
}

// markUp notes that an address has answered a new connection.
func (m *monitor) markUp(addr string) {
	m.mu.Lock()
	n := m.node(addr)
	known, wasDown := n.known, n.down
	n.known, n.down, n.err = true, false, nil
	m.mu.Unlock()
	switch {
	case !known:
		m.logger.Info("redis connected", "addr", addr)
	case wasDown:
		m.logger.Info("redis reconnected", "addr", addr)
	}
}

// markDown notes that an address could not be dialled, in which case conn is nil, or
// that a connection to it failed. Only the first failure of an episode is logged.
func (m *monitor) markDown(addr string, conn *watchedConn, err error) {
	m.mu.Lock()
	n := m.node(addr)
	stale := conn != nil && conn.episode != n.episode
	if m.ended || stale && !n.down {
		m.mu.Unlock()
		return
	}
	first := !n.down
	if first {
		n.episode++
	}
	n.down, n.err = true, err
	m.mu.Unlock()
	if first {
		m.logger.Warn("redis connection failed", "addr", addr, "error", m.server.reason(addr, err, 0))
	}
}

// markLeft notes that a connection ends because the server refuses. The address is not down.
func (m *monitor) markLeft(addr string, err error) {
	m.mu.Lock()
	n := m.node(addr)
	again := time.Since(n.left) < refusedEvery
	n.left = time.Now()
	quiet := m.ended || again
	m.mu.Unlock()
	if !quiet {
		m.logger.Warn("redis refuses, connecting again", "addr", addr, "error", err)
	}
}

// end closes all connections and refuses new ones, so that a client that nobody waits
// for any more ends soon.
func (m *monitor) end() {
	m.mu.Lock()
	if !m.ended {
		m.ended = true
		close(m.giveUp)
	}
	conns := m.conns
	m.conns = map[*watchedConn]struct{}{}
	m.mu.Unlock()
	for c := range conns {
		_ = c.Close()
	}
}

// watchedConn tells its monitor when it gets its first answer and when it breaks.
type watchedConn struct {
	net.Conn
	monitor  *monitor
	addr     string
	episode  int // of the node, when this was dialled
	answered atomic.Bool
	closed   atomic.Bool
}

// Read implements net.Conn.
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.answered.Load() {
		c.answered.Store(true)
		c.firstAnswer(b[:n])
	}
	if errors.Is(err, redisconn.ErrWrongServer) {
		c.monitor.markLeft(c.addr, err)
		return n, err
	}
	// A timeout of an answered connection is that of one call, and no verdict on the
	// server: the client dials again, and that decides.
	if err != nil && !c.closed.Load() && (!c.answered.Load() || !errors.Is(err, os.ErrDeadlineExceeded)) {
		c.markDown(err)
	}
	return n, err
}

// Write implements net.Conn. A server that hung up before its first answer may show here
// first.
func (c *watchedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && !c.closed.Load() && !c.answered.Load() {
		c.markDown(err)
	}
	return n, err
}

func (c *watchedConn) markDown(err error) {
	if errors.Is(err, redisconn.ErrProtocol) && !c.answered.Load() {
		err = errNotRedis
	}
	if !c.answered.Load() && !isTimeout(err) {
		err = &unansweredError{err}
	}
	c.monitor.markDown(c.addr, c, err)
}

// firstAnswer judges the reply to the login, which opens every connection.
func (c *watchedConn) firstAnswer(b []byte) {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	if line[0] == '-' {
		c.monitor.markDown(c.addr, c, refusal(line[1:]))
		return
	}
	// HELLO tells it without any right, which INFO does not; Valkey names it otherwise there.
	if bytes.Contains(b, []byte("$4\r\nmode\r\n$7\r\ncluster\r\n")) {
		c.monitor.mu.Lock()
		c.monitor.node(c.addr).cluster = true
		c.monitor.mu.Unlock()
	}
	c.monitor.markUp(c.addr)
}

// Close implements net.Conn.
func (c *watchedConn) Close() error {
	c.closed.Store(true)
	c.monitor.mu.Lock()
	delete(c.monitor.conns, c)
	c.monitor.mu.Unlock()
	return c.Conn.Close()
}

// again is a monitor for another try, which logs what is new since the last one.
func (m *monitor) again() *monitor {
	next := newMonitor(m.server, m.logger)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, addr := range m.order {
		n := next.node(addr)
		was := m.nodes[addr]
		n.known, n.down, n.err, n.episode = was.known, was.down, was.err, 1
	}
	return next
}

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

// monitor dials for the client and watches its connections. It logs when an address fails and when it
// works again. It also knows why connecting failed, which the client's own errors do not always tell.
type monitor struct {
	server *server
	logger *slog.Logger

	mu    sync.Mutex
	nodes map[string]*node
	order []string                  // the addresses in nodes, in the order of their first use
	conns map[*watchedConn]struct{} // open ones
	ended bool                      // Connect gave up

	giveUp chan struct{} // closed when ended
	outage bool          // connect failed because of an outage, which passes by itself
}

// node is the state of one address.
type node struct {
	known bool // has answered once
	down  bool
	err   error // why it is down
	// episode counts the failures. A connection that is older than the last failure does not
	// count as a new failure when it breaks late.
	episode int
	cluster bool      // its reply to the login says that it is a node of a cluster
	left    time.Time // when a connection was last closed because the server refused
}

// refusedEvery is the least time between two records about a server that refuses. The client
// connects to such a server again and again.
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
		if !errors.Is(ctx.Err(), context.Canceled) { // otherwise the caller has left
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

// markUp records that an address has answered a new connection.
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

// markDown records that a connection to an address failed. conn is nil if dialling failed. Only the
// first failure of an episode is logged.
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

// markLeft records that a connection ends because the server refuses. The address is not down.
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

// end closes all connections and makes no new ones, so that a client that nobody waits for ends soon.
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
	// A timeout on a connection that has answered is the timeout of one call. It says nothing
	// about the server: the client dials again, and that shows whether the server is down.
	if err != nil && !c.closed.Load() && (!c.answered.Load() || !errors.Is(err, os.ErrDeadlineExceeded)) {
		c.markDown(err)
	}
	return n, err
}

// Write implements net.Conn. It may be the first to notice that the server closed the connection
// before its first answer.
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

// firstAnswer reads the reply to the login, which is the first command of every connection.
func (c *watchedConn) firstAnswer(b []byte) {
	line, _, _ := bytes.Cut(b, []byte("\r\n"))
	if line[0] == '-' {
		c.monitor.markDown(c.addr, c, refusal(line[1:]))
		return
	}
	// HELLO needs no right, but INFO does, and Valkey uses another name for this field there.
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

// again returns a monitor for one more attempt. It logs only what is new since the last attempt.
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

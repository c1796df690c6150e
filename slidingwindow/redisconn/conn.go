package redisconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/internal/interrupt"
)

var (
	// ErrProtocol means that the server sent what no command asked for, or what is not in the
	// protocol of Redis. Its text does not quote that, because it may hold a login.
	ErrProtocol = errors.New("redisconn: the server sent what is no reply to a command")

	// ErrWrongServer means that the server refused a command in a way that a wrong server does. The
	// connection ends, and the client dials again.
	ErrWrongServer = errors.New("redisconn: the server refuses, and the client connects again to find the right one")

	// ErrNotSent means that nothing of a command was sent, because the connection had ended while
	// it was not used, or was too old. The command may be sent again on another connection.
	ErrNotSent = errors.New("redisconn: the connection had ended before the command was sent")
)

var errTooOld = errors.New("it has lived for as long as it may")

// A younger connection does not end when the server refuses.
const youth = time.Second

// Before a command is sent on a connection that was not used for this long, Write checks whether
// the server has hung up. A server that has hung up since costs a call.
const idleTime = 20 * time.Millisecond

// Dial connects to addr over TCP, or TLS if tlsConfig is not nil, and returns the connection
// as [Wrap] does. It is for rueidis.ClientOption.DialCtxFn, and safe for concurrent use.
func Dial(ctx context.Context, addr string, dialer *net.Dialer, tlsConfig *tls.Config) (net.Conn, error) {
	var conn net.Conn
	var err error
	if tlsConfig == nil {
		conn, err = dialer.DialContext(ctx, "tcp", addr)
	} else {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: tlsConfig}).DialContext(ctx, "tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	return Wrap(ctx, conn), nil
}

// Wrap returns conn with what this package adds, for a dial function of your own. ctx is the context
// of that function. conn must be new: nothing was written to it or read from it. As with any
// rueidis connection, one goroutine at a time may write, and one may read.
func Wrap(ctx context.Context, conn net.Conn) net.Conn {
	g := &guarded{Conn: conn, born: time.Now()}
	g.raw = rawOf(conn)
	if calls := interrupt.Of(ctx); calls != nil {
		g.Conn = calls.Wrap(conn)
		g.lifetime = calls.Lifetime
	}
	if g.lifetime > 0 {
		g.retirement = time.AfterFunc(g.lifetime, g.retire)
	}
	return g
}

// guarded is a connection that knows how many replies are awaited.
type guarded struct {
	net.Conn
	born     time.Time
	lifetime time.Duration // 0 if there is no bound

	retirement *time.Timer // nil if there is no bound

	// The reader's.
	replies parser
	served  time.Time // when a reply was last read that is no refusal

	raw syscall.RawConn // to find out whether it has ended; nil if there is none

	mu          sync.Mutex
	failed      error     // what ends the connection
	used        time.Time // when a command was last written
	commands    parser
	awaited     int  // commands without a reply yet
	subscribe   int  // SUBSCRIBEs among them, which are answered by pushes
	confirms    int  // pushes that are awaited for these
	unsubscribe int  // UNSUBSCRIBEs among them, which are answered by pushes
	resp3       bool // pushes differ from replies
	unchecked   bool // messages cannot be counted
}

// Write implements net.Conn.
func (c *guarded) Write(b []byte) (int, error) {
	c.mu.Lock()
	if err := c.ended(); err != nil {
		c.mu.Unlock()
		return 0, err
	}
	c.count(b)
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// ended returns an ErrNotSent if no reply is awaited, and the connection has ended meanwhile.
func (c *guarded) ended() error {
	if c.awaited > 0 {
		return nil
	}
	if c.failed != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, c.failed)
	}
	now := time.Now()
	if c.lifetime > 0 && now.Sub(c.born) > c.lifetime {
		return fmt.Errorf("%w: %w", ErrNotSent, errTooOld)
	}
	idle := !c.used.IsZero() && now.Sub(c.used) > idleTime
	c.used = now
	if idle && c.raw != nil && hasEnded(c.raw) {
		return fmt.Errorf("%w: %w", ErrNotSent, io.EOF)
	}
	return nil
}

// count counts the commands in b, before they are sent.
func (c *guarded) count(b []byte) {
	for len(b) > 0 && !c.unchecked {
		n, ended, err := c.commands.next(b)
		if err != nil {
			c.unchecked = true // an inline command, which rueidis does not send
		}
		b = b[n:]
		if !ended {
			continue
		}
		c.awaited++
		if len(c.commands.word) < len("SUBSCRIBE") {
			continue
		}
		switch strings.ToUpper(string(c.commands.word)) {
		case "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE":
			c.subscribe++
			c.confirms += c.commands.size - 1
			c.unchecked = !c.resp3 // messages come as replies do
		case "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE":
			c.unsubscribe++
		}
	}
}

// retire closes a connection that is too old, unless it is in use. Then the next command finds out.
func (c *guarded) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.awaited == 0 && c.failed == nil {
		c.failed = errTooOld
		_ = c.Conn.Close()
	}
}

// Close implements net.Conn.
func (c *guarded) Close() error {
	if c.retirement != nil {
		c.retirement.Stop()
	}
	return c.Conn.Close()
}

// Read implements net.Conn.
func (c *guarded) Read(b []byte) (int, error) {
	if _, failed := c.check(nil); failed != nil {
		return 0, failed
	}
	n, err := c.Conn.Read(b)
	if good, failed := c.check(b[:n]); good < n {
		return good, failed
	}
	return n, err
}

// check returns how many bytes of b may be given to the client: all, unless something in b ends the
// connection. failed is the error that ends the connection, or nil.
func (c *guarded) check(b []byte) (good int, failed error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for good < len(b) {
		n, ended, err := 0, false, ErrProtocol
		if c.replies.inside || b[good] == '>' || c.awaited > 0 || c.unchecked {
			n, ended, err = c.replies.next(b[good:])
		}
		if err == nil && ended {
			err = c.message()
		}
		if err != nil {
			c.failed = err
			return good, err
		}
		good += n
	}
	return good, c.failed
}

// message counts a complete message.
func (c *guarded) message() error {
	if c.replies.kind == '>' {
		return c.push()
	}
	if c.replies.kind == '%' {
		c.resp3 = true // the reply to HELLO 3, which is the first
	}
	c.awaited = max(0, c.awaited-1)
	if c.replies.refusal != "" {
		c.judge(c.replies.refusal)
	} else if c.replies.kind != '+' { // the client's own PING succeeds without any right
		c.served = time.Now()
	}
	return nil
}

// push notes a push. One that confirms a subscription must have been asked for.
func (c *guarded) push() error {
	switch string(c.replies.word) {
	case "subscribe", "psubscribe", "ssubscribe":
		if c.confirms == 0 && !c.unchecked {
			return ErrProtocol
		}
		if c.confirms = max(0, c.confirms-1); c.confirms == 0 {
			c.awaited = max(0, c.awaited-c.subscribe)
			c.subscribe = 0
		}
	case "unsubscribe", "punsubscribe", "sunsubscribe": // one or more for each command
		if c.unsubscribe > 0 {
			c.unsubscribe--
			c.awaited = max(0, c.awaited-1)
		}
	}
	return nil
}

// judge ends the connection if the refusal says that the server may be the wrong one.
func (c *guarded) judge(word string) {
	now := time.Now()
	if c.failed != nil || now.Sub(c.born) < youth {
		return
	}
	// A right may be missing for one command only, and other calls must not fail because of it.
	if word == noPermission && now.Sub(c.served) < youth {
		return
	}
	c.failed = fmt.Errorf("%w: %s", ErrWrongServer, word)
}

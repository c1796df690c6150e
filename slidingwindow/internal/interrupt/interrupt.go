// Package interrupt lets a caller leave a command that waits for its reply in the caller's own
// goroutine. rueidis gives such a command a deadline and nothing else; what it tells the
// connection is that deadline. So the connection that has a command is found by it.
package interrupt

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Registry knows the connections that carry the commands of one store. The zero value is ready
// to use. Its methods are safe for concurrent use.
type Registry struct {
	// Lifetime bounds how long a connection is used. It must not change while it is.
	Lifetime time.Duration

	seen   atomic.Bool
	serial atomic.Int64

	mu      sync.Mutex
	conns   map[*Conn]struct{}
	left    map[int64]struct{} // deadlines of commands that were left and have not ended
	leaving atomic.Int32       // how many these are
}

// Key is what a context of a store answers with its *Registry, for the function that dials.
type Key struct{}

// Of returns the registry of the store whose command needs the connection that ctx is for, nil
// if there is none.
func Of(ctx context.Context) *Registry {
	r, _ := ctx.Value(Key{}).(*Registry)
	return r
}

// Works reports whether commands can be left: the client's connections are of package redisconn.
func (r *Registry) Works() bool { return r.seen.Load() }

// Unique returns a deadline no later than that, and of no other command that is under way.
func (r *Registry) Unique(deadline time.Time) time.Time {
	return deadline.Add(-time.Duration(r.serial.Add(1) % 1000)) // ns
}

// Follow ends the wait of the command with that deadline when ctx ends: it then returns an error
// of a timeout. The function that Follow returns must be called when the command has returned.
func (r *Registry) Follow(ctx context.Context, deadline time.Time) (returned func()) {
	var mu sync.Mutex
	left, over := false, false
	stop := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			left = true
			r.leave(deadline.UnixNano())
		}
	})
	return func() {
		if stop() {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		over = true
		if left {
			r.end(deadline.UnixNano())
		}
	}
}

func (r *Registry) leave(deadline int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left == nil {
		r.left = map[int64]struct{}{}
	}
	r.left[deadline] = struct{}{}
	r.leaving.Add(1)
	for c := range r.conns {
		if c.deadline.Load() == deadline {
			c.expire()
		}
	}
}

func (r *Registry) end(deadline int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.left, deadline)
	r.leaving.Add(-1)
}

// Conn is a connection whose command can be left.
type Conn struct {
	net.Conn
	registry *Registry
	deadline atomic.Int64 // of its command, Unix ns
}

// Wrap returns conn as a connection of the registry.
func (r *Registry) Wrap(conn net.Conn) *Conn {
	c := &Conn{Conn: conn, registry: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns == nil {
		r.conns = map[*Conn]struct{}{}
	}
	r.conns[c] = struct{}{}
	r.seen.Store(true)
	return c
}

// SetDeadline implements net.Conn. rueidis calls it with the deadline of a command before it
// writes the command.
func (c *Conn) SetDeadline(t time.Time) error {
	at := t.UnixNano()
	c.deadline.Store(at)
	err := c.Conn.SetDeadline(t)
	// leave either finds the deadline stored above, or is seen here.
	if c.registry.leaving.Load() > 0 {
		c.registry.mu.Lock()
		defer c.registry.mu.Unlock()
		if _, left := c.registry.left[at]; left {
			c.expire()
		}
	}
	return err
}

func (c *Conn) expire() { _ = c.Conn.SetDeadline(time.Unix(1, 0)) }

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.registry.mu.Lock()
	delete(c.registry.conns, c)
	c.registry.mu.Unlock()
	return c.Conn.Close()
}

// Leaving is how many commands were left and have not ended, for tests.
func (r *Registry) Leaving() int { return int(r.leaving.Load()) }

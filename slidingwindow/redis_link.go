package slidingwindow

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/internal/interrupt"
)

const (
	connectTimeout = 5 * time.Second

	mostPooled = 4
)

// link is how a store reaches Redis.
type link struct {
	client  rueidis.Client
	prefix  string
	name    string // in a Decision
	timeout time.Duration
	onBatch func(calls int) // nil if nobody is told
	take    *script
	peek    *script
	settle  *script
	leave   *script // as settle, for what must not be settled twice

	calls      interrupt.Registry // commands that are under way
	pooled     atomic.Int32       // commands of bounded that have a connection of their own
	connecting atomic.Bool        // in the background

	slots   *slots // nil unless it is a Cluster
	sharing sharing
	closed  atomic.Bool
}

// sharing is what the store knows of which keys may share a command.
type sharing struct {
	// oneKey is set when a command must be for one key of a caller, with all of its limits: keys
	// are on several servers, and a proxy sends a command to one of them, or a client does
	// not know that the server is of a Cluster. It is never reset.
	oneKey atomic.Bool

	known atomic.Bool // Check has found out

	mu    sync.Mutex // held while an error makes the store find out
	tried time.Time  // when one did last
}

// deadline is when a call that is made now ends, unless ctx says so itself.
func (l *link) deadline(ctx context.Context) time.Time {
	deadline := time.Now().Add(l.timeout)
	if callers, has := ctx.Deadline(); has && ctx.Done() == nil && callers.Before(deadline) {
		return callers
	}
	return deadline
}

// bounded makes one call to Redis under the store's timeout, and names its error. The call is
// told whether it has a connection of its own. A few at a time have: they are made in the
// caller's goroutine. Others share one, as many callers may peek or refund at the same time.
func (l *link) bounded(ctx context.Context, call func(ctx context.Context, pooled bool) error) error {
	if ctx.Err() != nil {
		return ContextEnded(ctx)
	}
	deadline := l.deadline(ctx)
	if canLeave(ctx, &l.calls) {
		if l.pooled.Add(1) <= mostPooled {
			defer l.pooled.Add(-1)
			bound := newBound(ctx, deadline, &l.calls)
			defer bound.stop()
			return failure(ctx, l.timeout, call(bound, true))
		}
		l.pooled.Add(-1)
	}
	return l.await(ctx, deadline, func(ctx context.Context) error { return call(ctx, false) })
}

var waiters = sync.Pool{New: func() any { w := newWaiter[error](); return &w }}

// await makes a call in a goroutine of its own. It returns when that has ended, when ctx ends,
// or at the deadline; the call is not told that ctx has ended.
func (l *link) await(ctx context.Context, deadline time.Time, call func(context.Context) error) error {
	w := waiters.Get().(*waiter[error])
	go func() {
		bound := newBound(context.Background(), deadline, nil)
		defer bound.stop()
		w.told <- call(bound)
	}()
	err, ended := w.wait(ctx, deadline)
	if ended != nil {
		return failure(ctx, l.timeout, ended)
	}
	waiters.Put(w) // nobody else knows it any more
	return failure(ctx, l.timeout, err)
}

// ask decides batches in a command each, all in one round trip to a server.
func (l *link) ask(ctx context.Context, node rueidis.Client, pooled bool, by *script, batches []*batch) {
	for _, b := range batches {
		b.entries = join(b.one[:0], b.calls)
		b.question = questionOf(l.prefix, b.entries)
	}
	by.exec(ctx, node, pooled, batches)
	if l.slots != nil {
		l.follow(ctx, pooled, by, batches)
	}
	for _, b := range batches {
		reply, err := b.reply.ToArray()
		if err == nil {
			err = answer(b.entries, reply)
		}
		b.err = err
	}
}

// follow asks again what a node of a Cluster did not decide, because it has the keys no more. It is
// not left to the client's DoMulti, which panics at times while slots move (rueidis v1.0.79).
func (l *link) follow(ctx context.Context, pooled bool, by *script, batches []*batch) {
	elsewhere := map[string][]*batch{}
	for _, b := range batches {
		if addr, is := redirection(b.reply.Error()); is {
			elsewhere[addr] = append(elsewhere[addr], b)
		}
	}
	if len(elsewhere) == 0 {
		return
	}
	l.slots.changed()
	nodes := l.client.Nodes()
	for addr, moved := range elsewhere {
		if node := nodes[addr]; node != nil {
			by.exec(ctx, node, pooled, moved)
			moved = slices.DeleteFunc(moved, func(b *batch) bool { _, is := redirection(b.reply.Error()); return !is })
		}
		for _, b := range moved { // the client finds its way
			by.exec(ctx, l.client, pooled, []*batch{b})
		}
	}
}

// redirection returns where the keys of a command are, which was not run: the address of another
// node, or "" if only the client knows, because it has dropped this node, or the slot is being moved.
func redirection(err error) (addr string, is bool) {
	reply, ok := rueidis.IsRedisErr(err)
	if !ok {
		return "", errors.Is(err, rueidis.ErrClosing)
	}
	if addr, is = reply.IsMoved(); is {
		return addr, true
	}
	_, is = reply.IsAsk()
	return "", is
}

// connect makes a connection in the background and leaves it in the client's pool. A connection
// that a call needs is made within the time of that call, which may not suffice for connecting,
// logging in and asking: then no call would ever have one.
func (l *link) connect(node rueidis.Client) {
	if l.closed.Load() || !l.connecting.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer l.connecting.Store(false)
		bound := newBound(context.Background(), time.Now().Add(connectTimeout), &l.calls)
		defer bound.stop()
		_ = node.Do(bound, node.B().Arbitrary("PING").Blocking()).Error()
	}()
}

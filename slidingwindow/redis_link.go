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
	leave   *script // as settle, for what must not be sent twice

	calls      interrupt.Registry // commands that are under way
	pooled     atomic.Int32       // commands of bounded that have a connection of their own
	connecting atomic.Bool        // in the background

	slots   *slots // nil unless it is a Cluster
	sharing sharing
	closed  atomic.Bool
}

// sharing is what the store knows of which keys may share a command.
type sharing struct {
	// oneKey is set when a command must be for one key of a caller, with all limits of that key:
	// a proxy shards keys over several servers, or a client does not know that its server is a node
	// of a Cluster. It is never reset.
	oneKey atomic.Bool

	known atomic.Bool // Check has found out

	mu    sync.Mutex // held while an error makes the store find out
	tried time.Time  // when an error last did
}

// deadline returns when a call that begins now must end.
func (l *link) deadline(ctx context.Context) time.Time { return l.deadlineFrom(ctx, time.Now()) }

// deadlineFrom returns when a call that began at this time must end. The deadline of ctx counts only
// if ctx has no Done channel. Otherwise ctx itself ends the call.
func (l *link) deadlineFrom(ctx context.Context, began time.Time) time.Time {
	deadline := began.Add(l.timeout)
	if callers, has := ctx.Deadline(); has && ctx.Done() == nil && callers.Before(deadline) {
		return callers
	}
	return deadline
}

// bounded makes one call to Redis under the store's timeout, and names its error. pooled tells the
// call whether it has a connection of its own. A few calls at a time have one, and are made in the
// caller's goroutine. The others share one, because many callers may peek or refund at the same
// time.
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

// await makes a call in a goroutine of its own. It returns when the call has ended, when ctx ends,
// or at the deadline. The end of ctx does not end the call.
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
	waiters.Put(w) // no other goroutine uses it any more
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

// follow asks again for the batches that a node of a Cluster did not decide because it no longer
// has the keys. The client's DoMulti must not do that: it sometimes panics while slots move
// (rueidis v1.0.79).
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
		for _, b := range moved { // the client finds the node
			by.exec(ctx, l.client, pooled, []*batch{b})
		}
	}
}

// redirection reports whether a command was not run because its keys are elsewhere. addr is the
// node that has them, or "" if only the client can find it: it has dropped this node, or the slot
// is being moved.
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

// connect makes a connection in the background and leaves it in the client's pool. A call that
// needs a connection has to connect, log in and ask within its own timeout. Where that is too
// short, no call would ever get a connection.
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

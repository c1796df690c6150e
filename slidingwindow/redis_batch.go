package slidingwindow

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const connectTimeout = 5 * time.Second

// batch is what one command decides.
type batch struct {
	calls []*call
	err   error // of the command; the calls then have no decision

	entries []joined
	one     [1]joined // room for the entry of a lone call
	question
}

// decideBy returns what decides the calls of a group: of the client, or of the Cluster's node that
// has the keys.
func (s *RedisStore) decideBy(node func() rueidis.Client) func(context.Context, []*call) {
	return func(ctx context.Context, calls []*call) { s.decide(ctx, node(), calls) }
}

// decide decides calls that were made at the same time, in as few commands as possible, and
// ends each of them.
func (s *RedisStore) decide(ctx context.Context, node rueidis.Client, calls []*call) {
	batches := s.split(calls)
	s.ask(ctx, node, true, s.take, batches)
	var apart []*call
	for _, b := range batches {
		if errors.Is(b.err, context.DeadlineExceeded) {
			s.connect(node)
		}
		if b.err != nil && (isTryAgain(b.err) || s.apart(ctx, b.err, countKeys(b.calls))) {
			apart = append(apart, b.calls...)
			continue
		}
		s.finish(b)
	}
	s.decideApart(ctx, apart)
}

// connect makes a connection in the background and leaves it in the client's pool. A connection
// that a call needs is made within the time of that call, which may not suffice for connecting,
// logging in and asking: then no call would ever have one.
func (s *RedisStore) connect(node rueidis.Client) {
	if s.closed.Load() || !s.connecting.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer s.connecting.Store(false)
		bound := newBound(context.Background(), time.Now().Add(connectTimeout), &s.calls)
		defer bound.stop()
		_ = node.Do(bound, node.B().Arbitrary("PING").Blocking()).Error()
	}()
}

// split makes one batch of all calls, or one of each key where keys must not share a command.
func (s *RedisStore) split(calls []*call) []*batch {
	if len(calls) == 1 || !s.cluster && !s.sharing.oneKey.Load() {
		return []*batch{{calls: calls}}
	}
	return byKey(calls)
}

// byKey makes a batch of the calls of each key, in the order of their arrival.
func byKey(calls []*call) []*batch {
	batches := make([]*batch, 0, len(calls))
	at := make(map[string]int, len(calls))
	for i, c := range calls {
		if b, met := at[c.key]; met {
			batches[b].calls = append(batches[b].calls, c)
			continue
		}
		at[c.key] = len(batches)
		batches = append(batches, &batch{calls: calls[i : i+1 : i+1]})
	}
	return batches
}

// ask decides batches in a command each, all in one round trip to a server.
func (s *RedisStore) ask(ctx context.Context, node rueidis.Client, pooled bool, by *script, batches []*batch) {
	for _, b := range batches {
		b.entries = join(b.one[:0], b.calls)
		b.keys, b.args = s.question(b.entries)
	}
	by.exec(ctx, node, pooled, batches)
	if s.cluster {
		s.follow(ctx, pooled, by, batches)
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
func (s *RedisStore) follow(ctx context.Context, pooled bool, by *script, batches []*batch) {
	elsewhere := map[string][]*batch{}
	for _, b := range batches {
		if addr, is := redirection(b.reply.Error()); is {
			elsewhere[addr] = append(elsewhere[addr], b)
		}
	}
	if len(elsewhere) == 0 {
		return
	}
	s.partsChanged()
	nodes := s.client.Nodes()
	for addr, moved := range elsewhere {
		if node := nodes[addr]; node != nil {
			by.exec(ctx, node, pooled, moved)
			moved = slices.DeleteFunc(moved, func(b *batch) bool { _, is := redirection(b.reply.Error()); return !is })
		}
		for _, b := range moved { // the client finds its way
			by.exec(ctx, s.client, pooled, []*batch{b})
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

// finish ends the calls of a batch that one command decided, or failed to.
func (s *RedisStore) finish(b *batch) {
	err := b.err
	if err != nil {
		err = s.commandFailure(err)
	}
	for _, c := range b.calls {
		if err != nil {
			c.err = err
		}
		if c.err != nil {
			c.decision = Decision{}
		}
		c.finish()
	}
}

// For so long a key is asked again whose logs are on their way from one node to another: a
// command moves each of them. It is not the whole timeout, because calls of other keys
// wait meanwhile.
const (
	firstTryAgain = time.Millisecond
	lastTryAgain  = 16 * time.Millisecond
)

// decideApart decides the calls of each key by themselves.
func (s *RedisStore) decideApart(ctx context.Context, calls []*call) {
	var all sync.WaitGroup
	for _, b := range byKey(calls) {
		all.Go(func() {
			s.askAgain(ctx, b)
			s.finish(b)
		})
	}
	all.Wait()
}

// askAgain decides calls of one key. Nothing is counted while the answer is to try again.
func (s *RedisStore) askAgain(ctx context.Context, b *batch) {
	for wait := firstTryAgain; ; wait *= 2 {
		s.ask(ctx, s.client, true, s.take, []*batch{b})
		if !isTryAgain(b.err) || wait > lastTryAgain {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// isCrossSlot reports whether keys of several slots were in one command, which was then not
// run: by a server of a Cluster behind a client or a proxy that takes it for a single one.
func isCrossSlot(err error) bool { return isReply(err, "CROSSSLOT") }

// isTryAgain reports whether a command was not run because its slot is being moved, and no node
// has all of its keys. A key that does not exist counts as one of the new node's, where only
// a command for this key alone may make it.
func isTryAgain(err error) bool { return isReply(err, "TRYAGAIN") }

func isReply(err error, begins string) bool {
	redisErr, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(redisErr.Error(), begins)
}

package slidingwindow

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// batch is what one command decides.
type batch struct {
	calls []*call
	err   error // of the command; the calls then have no decision
}

// decide decides calls that were made at the same time, in as few commands as possible, and
// ends each of them. node is the client, or that of the Cluster's node which has the keys.
func (s *RedisStore) decide(ctx context.Context, node rueidis.Client, calls []*call) {
	batches := s.split(calls)
	s.ask(ctx, node, s.take, batches)
	for i := range batches {
		b := &batches[i]
		if b.err != nil && (isTryAgain(b.err) || s.apart(ctx, b.err, countKeys(b.calls))) {
			s.decideApart(ctx, b.calls)
			continue
		}
		s.finish(b)
	}
}

// split makes one batch of all calls, or one of each key where keys must not share a command.
func (s *RedisStore) split(calls []*call) []batch {
	if len(calls) == 1 || !s.cluster && !s.sharing.oneKey.Load() {
		return []batch{{calls: calls}}
	}
	return byKey(calls)
}

// byKey makes a batch of the calls of each key, in the order of their arrival.
func byKey(calls []*call) []batch {
	batches := make([]batch, 0, len(calls))
	at := make(map[string]int, len(calls))
	for i, c := range calls {
		if b, met := at[c.key]; met {
			batches[b].calls = append(batches[b].calls, c)
			continue
		}
		at[c.key] = len(batches)
		batches = append(batches, batch{calls: calls[i : i+1 : i+1]})
	}
	return batches
}

// ask decides batches in a command each, all in one round trip to a server.
func (s *RedisStore) ask(ctx context.Context, node rueidis.Client, by *script, batches []batch) {
	entries := make([][]joined, len(batches))
	questions := make([]question, len(batches))
	for i := range batches {
		entries[i] = join(batches[i].calls...)
		questions[i].keys, questions[i].args = s.question(entries[i])
	}
	results := by.exec(ctx, node, questions)
	if node != s.client {
		s.follow(ctx, by, questions, results)
	}
	for i, result := range results {
		reply, err := result.ToArray()
		if err == nil {
			err = answer(entries[i], reply)
		}
		batches[i].err = err
	}
}

// follow asks again what a node of a Cluster did not decide, because it has the keys no more:
// the client finds who has. It is not left to the client's DoMulti, which panics at times while
// slots move (rueidis v1.0.79).
func (s *RedisStore) follow(ctx context.Context, by *script, questions []question, results []rueidis.RedisResult) {
	var all sync.WaitGroup
	for i := range results {
		if isRedirection(results[i].Error()) {
			all.Go(func() { results[i] = by.exec(ctx, s.client, questions[i:i+1])[0] })
			s.partsChanged()
		}
	}
	all.Wait()
}

// isRedirection reports whether a command was not run because the keys are of another node, or
// because the client has dropped this node.
func isRedirection(err error) bool {
	reply, ok := rueidis.IsRedisErr(err)
	if !ok {
		return errors.Is(err, rueidis.ErrClosing)
	}
	_, moved := reply.IsMoved()
	_, asks := reply.IsAsk()
	return moved || asks
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
			s.askAgain(ctx, &b)
			s.finish(&b)
		})
	}
	all.Wait()
}

// askAgain decides calls of one key. Nothing is counted while the answer is to try again.
func (s *RedisStore) askAgain(ctx context.Context, b *batch) {
	one := []batch{*b}
	for wait := firstTryAgain; ; wait *= 2 {
		s.ask(ctx, s.client, s.take, one)
		b.err = one[0].err
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

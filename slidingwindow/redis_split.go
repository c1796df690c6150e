package slidingwindow

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// For so long a key is asked again whose logs are on their way from one node to another: a
// command moves each of them. It is not the whole timeout, because calls of other keys
// wait meanwhile.
const (
	firstTryAgain = time.Millisecond
	lastTryAgain  = 16 * time.Millisecond
)

// isCrossSlot tells whether keys of several slots were in one command, which was then not
// run: by a server of a Cluster behind a client or a proxy that takes it for a single one.
func isCrossSlot(err error) bool { return isReply(err, "CROSSSLOT") }

// isTryAgain tells whether a command was not run because its slot is being moved, and no node
// has all of its keys. A key that does not exist counts as one of the new node's, where only
// a command for this key alone may make it.
func isTryAgain(err error) bool { return isReply(err, "TRYAGAIN") }

func isReply(err error, begins string) bool {
	redisErr, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(redisErr.Error(), begins)
}

// decideApart decides each key's calls of a batch by themselves.
func (s *RedisStore) decideApart(ctx context.Context, calls []*call) {
	byKey := map[string][]*call{}
	for _, c := range calls {
		byKey[c.key] = append(byKey[c.key], c)
	}
	var all sync.WaitGroup
	for _, calls := range byKey {
		all.Go(func() { s.finish(calls, s.askAgain(ctx, calls)) })
	}
	all.Wait()
}

// askAgain decides calls of one key. Nothing is counted while the answer is to try again.
func (s *RedisStore) askAgain(ctx context.Context, calls []*call) error {
	for wait := firstTryAgain; ; wait *= 2 {
		err := s.ask(ctx, s.take, kindTake, join(calls...))
		if !isTryAgain(err) || wait > lastTryAgain {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// unlinkApart removes keys of a slot one by one, which is always possible.
func (s *RedisStore) unlinkApart(ctx context.Context, keys []string) error {
	for _, key := range keys {
		if err := s.client.Do(ctx, s.client.B().Unlink().Key(key).Build()).Error(); err != nil {
			return err
		}
	}
	return nil
}

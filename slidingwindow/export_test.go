package slidingwindow

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Names that the tests of this package need and users don't.
var (
	BoundKey     = boundKey
	EscapeKey    = escapeKey
	HashKey      = hashKey
	RedisKey     = redisKey
	DecideScript = decideScript
	RefundScript = refundScript
	TrialScript  = trialScript
	TrialLimits  = trialLimits
)

// NewRedisStoreWithClock is NewRedisStore on a clock that the test sets: the hash
// clockKey, with the seconds in field s and the microseconds in field us, which now tells
// too. All else of the script is what users run.
func NewRedisStoreWithClock(client rueidis.Client, config RedisConfig, clockKey string, now func() time.Time) (*RedisStore, error) {
	onClock := func(script string) string {
		const clock = "redis.call('TIME')"
		if strings.Count(script, clock) != 1 {
			panic("decide.lua must read the clock in one place")
		}
		return strings.Replace(script, clock, "redis.call('HMGET', '"+clockKey+"', 's', 'us')", 1)
	}
	store, err := newRedisStore(client, config, onClock(decideScript), refundScript)
	if err == nil {
		store.refused.at = func(time.Time) time.Time { return now() }
	}
	return store, err
}

// TextOf is the text of version 1 with that content, and the checksum that fits it.
func TextOf(content []byte) []byte {
	return []byte(textVersion + "." + base64.RawURLEncoding.EncodeToString(append(slices.Clone(content), textSum(content)...)))
}

// Remember is what follows a refusal by Redis; meanwhile runs while it is under way.
func (s *RedisStore) Remember(req Request, d Decision, meanwhile ...func()) {
	a := attempt{shard: s.refused.shard(req.Key), sent: s.refused.at(time.Now())}
	_, a.epoch = a.shard.find(&req)
	for _, f := range meanwhile {
		f()
	}
	s.refused.remember(&req, d, a)
}

// Unlooked is how long a refusal stands without a look into the client's cache.
const Unlooked = unlooked

// Refusals is how many refusals the store remembers.
func (s *RedisStore) Refusals() int {
	refusals := 0
	for i := range s.refused.shards {
		shard := &s.refused.shards[i]
		shard.mu.Lock()
		refusals += shard.young.count + shard.old.count
		shard.mu.Unlock()
	}
	return refusals
}

// DecideTogether decides requests in one batch, in their order.
func (s *RedisStore) DecideTogether(ctx context.Context, requests ...Request) ([]Decision, []error) {
	calls := make([]*call, len(requests))
	for i, req := range requests {
		calls[i] = newCall(&req, nil)
	}
	s.decide(ctx, calls)
	decisions, errs := make([]Decision, len(calls)), make([]error, len(calls))
	for i, c := range calls {
		c.decision.takenFrom(requests[i].Key)
		if c.decision.Granted > 0 {
			c.decision.Store = s.name
		}
		decisions[i], errs[i] = c.decision, c.err
	}
	return decisions, errs
}

// OneKey is whether a command must be for one key.
func (s *RedisStore) OneKey() bool { return s.sharing.oneKey.Load() }

// Leaving is how many commands were left and have not ended.
func (s *RedisStore) Leaving() int { return s.calls.Leaving() }

// Waiting is how many calls wait for their batch to be sent.
func (s *RedisStore) Waiting() int {
	parts := s.refused.parts
	waiting := parts.group.waitingCalls()
	parts.mu.Lock()
	defer parts.mu.Unlock()
	for _, group := range parts.byNode {
		waiting += group.waitingCalls()
	}
	return waiting
}

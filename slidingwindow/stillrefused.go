package slidingwindow

import (
	"context"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

const (
	// How long the client's cache is trusted without asking Redis: it may have missed that
	// the server's clock was set forward, or that its connection is dead.
	cacheTrust = 10 * time.Second

	// A refusal that ends sooner is over before it pays.
	minRefusal = 2 * time.Millisecond

	// For so long a refusal is given again without a look into the client's cache, which
	// takes longer than all the rest. The word of Redis takes about as long to come.
	unlooked = time.Millisecond
)

var started = time.Now().Add(-time.Second) // nothing was looked at then

// attempt is what a call has found out before Redis answers it.
type attempt struct {
	shard *refusalShard // nil: the answer is not to be remembered
	epoch uint64
	sent  time.Time
	until time.Time             // if set, the answer is remembered no longer
	told  *rueidis.RedisMessage // as in refusal
}

// stillRefused answers a request that Redis refused before, if Redis would refuse it again.
// It asks whether the limit that refused still would, by the script that decides and through
// the client's cache, which Redis tells of each write to that log. While nobody writes to it
// the cache holds the very reply that it held before, and no command is sent.
//
// The Decision is the zero one if Redis must decide. The error is final: there is no time left.
func (s *RedisStore) stillRefused(ctx context.Context, req Request) (Decision, attempt, error) {
	looked := int64(time.Since(started))
	if looked < s.refused.pausedUntil.Load() {
		return Decision{}, attempt{}, nil
	}
	a := attempt{shard: s.refused.shard(req.Key)}
	r, epoch := a.shard.find(req)
	a.epoch, a.sent = epoch, s.now()
	if r == nil || a.sent.Before(r.at) || !a.sent.Before(r.until) {
		return Decision{}, a, nil
	}
	if looked-r.looked.Load() < int64(unlooked) {
		return r.decision(a.sent), a, nil
	}
	// A client that has lost its connection makes all who come wait until it has another,
	// whatever their contexts say.
	var result rueidis.RedisResult
	err := s.await(ctx, s.deadline(ctx), func(ctx context.Context) error {
		result = s.client.DoCache(ctx, r.question, cacheTrust)
		return nil // Redis can still decide
	})
	if err != nil {
		return Decision{}, a, err // result may be written at any time
	}
	reply, err := result.ToArray()
	switch {
	case err != nil || len(reply) == 0:
		if e, answered := rueidis.IsRedisErr(err); answered && !e.IsNoScript() {
			s.refused.pausedUntil.Store(looked + int64(cacheTrust)) // this user must not ask, say
		}
	case &reply[0] == r.told:
		r.looked.Store(looked)
		return r.decision(a.sent), a, nil
	case result.IsCacheHit():
		a.told = &reply[0] // to another call, nobody knows when; but before Redis decides now
	case result.CachePXAT() <= 0: // the client has no cache, or not now: while a slot moves, say
		s.refused.pausedUntil.Store(looked + int64(cacheTrust))
	default:
		if d := s.renewed(r, reply); d.Reason == ReasonRefused {
			// A client may send what only reads to a replica, which has a clock of its own:
			// the script that decides said how long this can last.
			a.until, a.told = r.until, &reply[0]
			s.remember(req, d, a)
			return d, a, nil
		}
	}
	a.sent = s.now()
	return Decision{}, a, nil
}

// remember notes what Redis answered.
func (s *RedisStore) remember(req Request, d Decision, a attempt) {
	sha := s.take.sha.Load()
	if a.shard == nil || sha == nil {
		return
	} else if d.Allowed {
		a.shard.taken(req)
		return
	}
	key := strings.Clone(req.Key) // it may be a part of something big
	r := &refusal{key: key, cost: req.Cost, limit: d.Limit, statuses: d.Statuses(), at: s.now(), told: a.told}
	steady := steadyFor(r.statuses)
	if steady < minRefusal {
		return
	}
	if len(r.statuses) > 1 {
		steady = min(steady, cacheTrust) // Redis tells of the limit that refused only
	}
	if r.until = a.sent.Add(steady); !a.until.IsZero() && a.until.Before(r.until) {
		r.until = a.until
	}
	keys, args := s.question(join(nil, []*call{r.peek()}))
	r.question = s.client.B().EvalshaRo().Sha1(*sha).Numkeys(1).Key(keys...).Arg(args...).
		// Errors are not kept, nor does the key's time to live matter. Pinned, as it is asked
		// again and again.
		Cache().ToStaticTTL().Pin()
	a.shard.put(req, r, a.epoch)
}

// peek asks whether the limit that refused still would.
func (r *refusal) peek() *call {
	return &call{kind: kindPeek, key: r.key, limits: []Limit{r.limit}, cost: r.cost}
}

// renewed is the refusal with what Redis now says of the limit that refused. If that limit
// allows, or the reply is none, it is not ReasonRefused.
func (s *RedisStore) renewed(r *refusal, reply []rueidis.RedisMessage) Decision {
	c := r.peek()
	if err := answer(join(nil, []*call{c}), reply); err != nil || c.decision.Reason != ReasonRefused {
		return Decision{}
	}
	statuses := r.decision(s.now()).Statuses()
	for i := range statuses {
		if statuses[i].Limit == r.limit {
			statuses[i] = c.decision.Statuses()[0]
		}
	}
	return NewDecision(0, statuses...)
}

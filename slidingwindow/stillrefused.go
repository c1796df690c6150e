package slidingwindow

import (
	"context"
	"fmt"
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

// attempt is what a call has found out before it asks Redis to decide.
type attempt struct {
	shard *refusalShard // nil: the answer is not to be remembered
	epoch uint64
	told  *rueidis.RedisMessage // as in refusal
	sent  time.Time
}

// stillRefused answers a question that Redis refused before, if Redis would refuse it
// again. It asks for the log of the limit that refused, by the script that decides and
// through the client's cache, which Redis tells of each write to that log. So
// no round trip is made while nobody touches the log, and a Reset or a Refund by any
// process ends the refusal.
//
// The Decision is the zero one if Redis must decide. The error is final: there
// is no time left to ask again.
func (s *RedisStore) stillRefused(ctx context.Context, req Request) (Decision, attempt, error) {
	var a attempt
	if s.peek.sha.Load() == nil || s.refused.off.Load() || ctx.Err() != nil {
		return Decision{}, a, nil
	}
	a.shard = s.refused.shard(req.Key)
	var r *refusal
	r, a.epoch = a.shard.find(req)
	a.sent = s.now() // not before find: r must not be of the future
	if r == nil {
		return Decision{}, a, nil
	}
	if !r.holds(a.sent) {
		a.shard.drop(r)
		return Decision{}, a, nil
	}

	began := time.Now()
	if r.confirmed(began) {
		return r.decision(a.sent), a, nil
	}
	result, err := s.lookUp(ctx, r.question)
	if err != nil {
		return Decision{}, a, err
	}
	hit := result.IsCacheHit()
	if known := r.told != nil && a.sent.Sub(r.askedAt) < cacheTrust/2; hit || known {
		s.refused.learn(hit)
	}
	told, err := identity(result)
	if err == nil && told == r.told {
		r.confirm(began)
		return r.decision(a.sent), a, nil
	}
	var d Decision
	if err == nil {
		d, err = r.read(result)
	}
	received := s.now()
	switch {
	case err != nil:
		a.shard.drop(r)
		if _, answered := rueidis.IsRedisErr(err); answered {
			s.refused.learn(false) // Redis does not take the question, or not here
		}
		// Reads are tried again until their time is over, unlike what comes next.
		if _, answered := rueidis.IsRedisErr(err); !answered && time.Since(began) > s.timeout/2 {
			return Decision{}, a, s.commandFailure(err)
		}
	case d.Allowed:
		a.shard.drop(r)
	case !hit && len(req.Limits) == 1:
		r = r.renewed(d, told, a.sent, received)
		a.shard.put(req, r, a.epoch)
		return r.decision(received), a, nil
	default:
		// Whenever this was told, it was before Redis decides now. While the cache tells it, the
		// log is as it will be then.
		a.told = told
	}
	a.sent = received
	return Decision{}, a, nil
}

// identity tells one reply in the client's cache from all others, also from one of the same
// numbers at another time. It stays that of this reply while it is held.
func identity(result rueidis.RedisResult) (*rueidis.RedisMessage, error) {
	values, err := result.ToArray()
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("%w: redis answered no values", ErrStoreUnavailable)
	}
	return &values[0], nil
}

// read is what Redis says of the limit that refused.
func (r *refusal) read(result rueidis.RedisResult) (Decision, error) {
	reply, err := result.ToArray()
	if err != nil {
		return Decision{}, err
	}
	c := &call{kind: kindPeek, limits: []Limit{r.limit}, cost: r.cost}
	err = answer(join(c), reply)
	if err == nil {
		err = c.err
	}
	return c.decision, err
}

// remember notes what Redis decided after stillRefused had no answer.
func (s *RedisStore) remember(req Request, d Decision, a attempt) {
	if a.shard == nil {
		return
	}
	if d.Allowed {
		a.shard.taken(req)
		return
	}
	statuses := d.Statuses()
	steady := steadyFor(statuses)
	if steady < minRefusal {
		return
	}
	a.shard.put(req, &refusal{
		key:      strings.Clone(req.Key), // it may be a part of something big
		cost:     req.Cost,
		limit:    d.Limit,
		statuses: statuses,
		at:       s.now(),
		until:    a.sent.Add(steady),
		question: s.cacheable(req, d.Limit),
		told:     a.told,
		askedAt:  a.sent,
	}, a.epoch)
}

// cacheable is the question whether one limit would still refuse.
func (s *RedisStore) cacheable(req Request, limit Limit) rueidis.Cacheable {
	keys, args := s.question(join(&call{kind: kindPeek, key: req.Key, limits: []Limit{limit}, cost: req.Cost}))
	return s.client.B().EvalshaRo().Sha1(*s.peek.sha.Load()).Numkeys(1).Key(keys...).Arg(args...).
		// Errors are not kept, nor does the key's time to live matter. Pinned, as it is
		// asked again and again.
		Cache().ToStaticTTL().Pin()
}

// renewed is the refusal of a single limit as Redis has just told it. It ends no later than
// the script that decides said: a client may send what only reads to a replica, which has a
// clock of its own.
func (r *refusal) renewed(d Decision, told *rueidis.RedisMessage, sent, received time.Time) *refusal {
	statuses := d.Statuses()
	until := sent.Add(steadyFor(statuses))
	if r.until.Before(until) {
		until = r.until
	}
	return &refusal{
		key:      r.key,
		cost:     r.cost,
		limit:    r.limit,
		statuses: statuses,
		at:       received,
		until:    until,
		question: r.question,
		told:     told,
		askedAt:  sent,
	}
}

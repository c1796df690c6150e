package slidingwindow

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	refusalShards    = 256
	refusalsPerShard = 390 // 99,840 in all
	refusalsPerKey   = 8   // of other costs or limits

	// How long the client's cache is trusted without asking Redis: it may have missed that
	// the server's clock was set forward, or that its connection is dead.
	cacheTrust = 10 * time.Second

	// A shorter refusal ends before it pays to remember it.
	minRefusal = 2 * time.Millisecond

	// For this long a refusal is repeated without a look into the client's cache, because a look
	// takes longer than all the rest. A message of Redis takes about as long to arrive.
	unlooked = time.Millisecond
)

var started = time.Now().Add(-time.Second) // so that a looked of 0 is long ago

// refusals remembers what Redis refused lately. A refusal is a hint: stillRefused finds out whether
// it still stands. A lost one costs a command.
type refusals struct {
	*parts
	at func(time.Time) time.Time // that time by the clock by which refusals age; only Redis's clock allows calls

	shards      [refusalShards]refusalShard
	pausedUntil atomic.Int64 // ns since started; before that, the client's cache is not asked
}

// refusalShard has the refusals of some of the keys. When the young ones have become many, or some
// time has passed, they replace the old ones, which are forgotten. So a flood of keys does not stay.
type refusalShard struct {
	mu         sync.Mutex
	young, old generation
	begun      time.Time // when young was
	epoch      uint64    // how often a key was forgotten

	_ [64]byte // a shard in use does not slow its neighbour
}

type generation struct {
	byKey map[string][]*refusal // the newest of a key last
	count int
}

// refusal is a request that Redis refused, and its answer. Only looked changes.
type refusal struct {
	key       string
	cost      int64
	limit     Limit    // that refused
	statuses  []Status // of each limit, at the time `at`
	at, until time.Time
	question  rueidis.Cacheable // whether the limit would still refuse

	// The client's cache holds this reply while nobody writes to the limit's log. nil: not known.
	told   *rueidis.RedisMessage
	looked atomic.Int64 // ns since started, when the cache last held told; 0: never
}

var keySeed = maphash.MakeSeed()

// attempt is what a call has found out before Redis answers it.
type attempt struct {
	shard *refusalShard // nil: the answer is not to be remembered
	epoch uint64
	sent  time.Time
	until time.Time             // if set, the answer is remembered no longer than this
	told  *rueidis.RedisMessage // as in refusal
}

// take repeats a refusal that still stands. Otherwise Redis decides. The call began at this time: to
// read the clock again would take longer than to repeat a refusal.
func (f *refusals) take(ctx context.Context, req *Request, began time.Time) (Decision, error) {
	if req.Costs != nil || req.AtMost || req.Wait { // is not remembered
		d, err := f.parts.take(ctx, req, f.deadlineFrom(ctx, began))
		if err == nil && d.Allowed {
			f.shard(req.Key).taken(req)
		}
		return d, err
	}
	d, made, err := f.stillRefused(ctx, req, began)
	if err != nil || d.Reason != "" {
		return d, err
	}
	if d, err = f.parts.take(ctx, req, f.deadlineFrom(ctx, began)); err == nil {
		f.remember(req, d, made)
	}
	return d, err
}

// stillRefused answers a request that Redis refused before, if Redis would refuse it again. It runs
// the script that decides, for the limit that refused, through the client's cache. Redis tells that
// cache of each write to the log. While nobody writes to the log, the cache returns the same reply
// as before (told), and no command is sent.
//
// The Decision is zero if Redis must decide. The error is final: there is no time left.
func (f *refusals) stillRefused(ctx context.Context, req *Request, began time.Time) (Decision, attempt, error) {
	looked := int64(began.Sub(started))
	if looked < f.pausedUntil.Load() {
		return Decision{}, attempt{}, nil
	}
	a := attempt{shard: f.shard(req.Key)}
	r, epoch := a.shard.find(req)
	a.epoch, a.sent = epoch, f.at(began)
	if r != nil && a.sent.Before(r.at) { // it came while this call waited for the shard
		a.sent = f.at(time.Now())
	}
	if r == nil || a.sent.Before(r.at) || !a.sent.Before(r.until) {
		return Decision{}, a, nil
	}
	if looked-r.looked.Load() < int64(unlooked) {
		return r.decision(a.sent), a, nil
	}
	// A client that has lost its connection makes all callers wait until it has a new one, and
	// ignores their contexts.
	var result rueidis.RedisResult
	err := f.await(ctx, f.deadlineFrom(ctx, began), func(ctx context.Context) error {
		result = f.client.DoCache(ctx, r.question, cacheTrust)
		return nil // Redis can still decide
	})
	if err != nil {
		return Decision{}, a, err // result may be written at any time
	}
	reply, err := result.ToArray()
	switch {
	case err != nil || len(reply) == 0:
		if e, answered := rueidis.IsRedisErr(err); answered && !e.IsNoScript() {
			f.pausedUntil.Store(looked + int64(cacheTrust)) // for example, the user lacks the right
		}
	case &reply[0] == r.told:
		r.looked.Store(looked)
		return r.decision(a.sent), a, nil
	case result.IsCacheHit():
		a.told = &reply[0] // another call got it, some time before Redis decides this one
	case result.CachePXAT() <= 0: // the client has no cache, or none now, as while a slot moves
		f.pausedUntil.Store(looked + int64(cacheTrust))
	default:
		if d := f.renewed(r, reply); d.Reason == ReasonRefused {
			// A client may send a read to a replica, which has a clock of its own. So the refusal
			// lasts no longer than the deciding script said.
			a.until, a.told = r.until, &reply[0]
			f.remember(req, d, a)
			return d, a, nil
		}
	}
	a.sent = f.at(time.Now())
	return Decision{}, a, nil
}

// remember notes what Redis answered.
func (f *refusals) remember(req *Request, d Decision, a attempt) {
	sha := f.link.take.sha.Load()
	if a.shard == nil || sha == nil {
		return
	} else if d.Allowed {
		a.shard.taken(req)
		return
	}
	key := strings.Clone(req.Key) // it may be a part of something big
	r := &refusal{key: key, cost: req.Cost, limit: d.Limit, statuses: d.Statuses(), at: f.at(time.Now()), told: a.told}
	steady := steadyFor(r.statuses)
	if steady < minRefusal {
		return
	}
	if len(r.statuses) > 1 {
		steady = min(steady, cacheTrust) // Redis tells only of the limit that refused
	}
	if r.until = a.sent.Add(steady); !a.until.IsZero() && a.until.Before(r.until) {
		r.until = a.until
	}
	q := questionOf(f.prefix, join(nil, []*call{r.peek()}))
	r.question = f.client.B().EvalshaRo().Sha1(*sha).Numkeys(1).Key(q.keys...).Arg(q.args...).
		// A static TTL: errors are not cached, and the key's time to live does not matter. Pinned,
		// because it is asked again and again.
		Cache().ToStaticTTL().Pin()
	a.shard.put(req, r, a.epoch)
}

// peek returns the call that asks whether the limit would still refuse.
func (r *refusal) peek() *call {
	return &call{kind: kindPeek, key: r.key, limits: []Limit{r.limit}, cost: r.cost}
}

// renewed returns the refusal with what Redis now says of the limit that refused. If that limit
// allows, or the reply is not one of decide.lua, the Decision is zero.
func (f *refusals) renewed(r *refusal, reply []rueidis.RedisMessage) Decision {
	c := r.peek()
	if err := answer(join(nil, []*call{c}), reply); err != nil || c.decision.Reason != ReasonRefused {
		return Decision{}
	}
	statuses := r.decision(f.at(time.Now())).Statuses()
	for i := range statuses {
		if statuses[i].Limit == r.limit {
			statuses[i] = c.decision.Statuses()[0]
		}
	}
	return NewDecision(0, statuses...)
}

func (f *refusals) shard(key string) *refusalShard {
	return &f.shards[maphash.String(keySeed, key)%refusalShards]
}

// forget drops the refusals of a key that was reset or refunded, and those that are on their way.
func (f *refusals) forget(key string) {
	s := f.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.remove(key, func(*refusal) bool { return true })
}

// find returns the refusal of a request, or nil, and the epoch for put.
func (s *refusalShard) find(req *Request) (*refusal, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range [][]*refusal{s.young.byKey[req.Key], s.old.byKey[req.Key]} {
		for _, r := range known {
			if r.answers(req) {
				return r, s.epoch
			}
		}
	}
	return nil, s.epoch
}

// put replaces the refusal of a request. It does nothing if a key was forgotten since the epoch:
// Redis may have refused before the reset.
func (s *refusalShard) put(req *Request, r *refusal, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return
	}
	s.remove(r.key, func(other *refusal) bool { return other.answers(req) })
	if s.young.count >= refusalsPerShard/2 || r.at.Sub(s.begun) > cacheTrust {
		s.old, s.young, s.begun = s.young, generation{byKey: map[string][]*refusal{}}, r.at
	}
	if known := slices.Concat(s.old.byKey[r.key], s.young.byKey[r.key]); len(known) == refusalsPerKey {
		s.remove(r.key, func(other *refusal) bool { return other == known[0] })
	}
	s.young.byKey[r.key] = append(s.young.byKey[r.key], r)
	s.young.count++
}

// taken drops the refusals about logs that now have one more call.
func (s *refusalShard) taken(req *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(req.Key, func(r *refusal) bool {
		return slices.ContainsFunc(r.statuses, func(s Status) bool {
			return slices.ContainsFunc(req.Limits, func(l Limit) bool { return l.Name == s.Limit.Name })
		})
	})
}

func (s *refusalShard) remove(key string, which func(*refusal) bool) {
	for _, g := range []*generation{&s.young, &s.old} {
		if known := g.byKey[key]; known != nil {
			kept := slices.DeleteFunc(known, which)
			g.count -= len(known) - len(kept)
			if g.byKey[key] = kept; len(kept) == 0 {
				delete(g.byKey, key)
			}
		}
	}
}

// answers reports whether the request is what was refused. Another cost is another request,
// and so are other limits.
func (r *refusal) answers(req *Request) bool {
	return r.cost == req.Cost &&
		slices.EqualFunc(r.statuses, req.Limits, func(s Status, l Limit) bool { return s.Limit == l })
}

// decision returns the refusal as Redis would give it now.
func (r *refusal) decision(now time.Time) Decision {
	var few [4]Status // spares an allocation
	statuses := append(few[:0], r.statuses...)
	for i := range statuses {
		s := &statuses[i]
		if s.ReplenishAfter > 0 {
			s.ReplenishAfter = max(time.Microsecond, s.ReplenishAfter-now.Sub(r.at))
		}
		if s.RetryAfter > 0 && r.cost <= s.Limit.Max { // else no wait helps, and RetryAfter is the window
			s.RetryAfter = max(time.Microsecond, s.RetryAfter-now.Sub(r.at))
		}
	}
	d := NewDecision(0, statuses...)
	d.Reason = ReasonCached
	return d
}

// steadyFor returns how long statuses only age. After that a hit leaves a window.
func steadyFor(statuses []Status) time.Duration {
	shortest := maxWindow
	for _, s := range statuses {
		shortest = min(shortest, cmp.Or(s.RetryAfter, maxWindow), cmp.Or(s.ReplenishAfter, maxWindow))
	}
	return shortest
}

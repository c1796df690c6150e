package slidingwindow

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	refusalShards    = 256
	refusalsPerShard = 390 // 99,840 in all
	refusalsPerKey   = 8   // of other costs or limits
)

// refusals are what Redis refused lately. They are hints: whether one still stands is for
// stillRefused to find out, and to lose one costs a command.
type refusals struct {
	shards      [refusalShards]refusalShard
	pausedUntil atomic.Int64 // ns since started; before that, the client's cache is not asked
}

// refusalShard has the refusals of some of the keys. When the young ones have become many, or
// some time has passed, they become the old ones, which are then forgotten: so no flood stays.
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

	// The client's cache holds that reply while nobody has written to the limit's log. Nil: unknown.
	told   *rueidis.RedisMessage
	looked atomic.Int64 // ns since started, when the cache last held told; 0: never
}

func (f *refusals) shard(key string) *refusalShard {
	return &f.shards[maphash.String(keySeed, key)%refusalShards]
}

// forget drops what is known of a key that was reset or refunded, and what is on its way.
func (f *refusals) forget(key string) {
	s := f.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.remove(key, func(*refusal) bool { return true })
}

// find returns the refusal of a request, or nil, and the epoch that put wants.
func (s *refusalShard) find(req Request) (*refusal, uint64) {
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

// put adds the refusal of a request in place of an older one. It does nothing if a key was
// forgotten since the epoch: Redis may have refused before the reset.
func (s *refusalShard) put(req Request, r *refusal, epoch uint64) {
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

// taken drops what tells of logs to which a call was now added.
func (s *refusalShard) taken(req Request) {
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
func (r *refusal) answers(req Request) bool {
	return r.cost == req.Cost &&
		slices.EqualFunc(r.statuses, req.Limits, func(s Status, l Limit) bool { return s.Limit == l })
}

// decision is the refusal as Redis would give it now. It takes no command.
func (r *refusal) decision(now time.Time) Decision {
	var few [4]Status // spares an allocation
	statuses := append(few[:0], r.statuses...)
	for i := range statuses {
		s := &statuses[i]
		if s.ReplenishAfter > 0 {
			s.ReplenishAfter = max(time.Microsecond, s.ReplenishAfter-now.Sub(r.at))
		}
		if s.RetryAfter > 0 && r.cost <= s.Limit.Max { // else no wait helps, and it is the window
			s.RetryAfter = max(time.Microsecond, s.RetryAfter-now.Sub(r.at))
		}
	}
	d := NewDecision(0, statuses...)
	d.Reason = ReasonCached
	return d
}

// steadyFor is how long statuses only age: then a hit leaves a window.
func steadyFor(statuses []Status) time.Duration {
	shortest := maxWindow
	for _, s := range statuses {
		shortest = min(shortest, cmp.Or(s.RetryAfter, maxWindow), cmp.Or(s.ReplenishAfter, maxWindow))
	}
	return shortest
}

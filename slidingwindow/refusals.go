package slidingwindow

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	// At most 99,840 refusals in all.
	refusalShards    = 256
	refusalsPerShard = 390

	// A key that asks for ever new costs has no more than these.
	refusalsPerKey = 8

	// So many questions that the client's cache should have answered, and it has answered
	// none: it is switched off.
	cacheProbes = 100
)

// refusedQuestions are what Redis refused lately, to be asked again through the client's
// cache. They are hints: whether one still holds is for stillRefused to find out, and to
// lose one costs a command. The oldest make room for new ones.
type refusedQuestions struct {
	shards [refusalShards]refusalShard

	off    atomic.Bool  // the client has no cache
	hit    atomic.Bool  // the client's cache has answered once
	misses atomic.Int32 // how often it did not before that
}

type refusalShard struct {
	mu    sync.Mutex
	byKey map[string]*refusal // the newest of each key; sibling links the others
	all   refusal             // the root of a ring of them, the newest at next
	count int
	epoch uint64 // how often a key was forgotten

	_ [64]byte // a shard in use does not slow its neighbour
}

// refusal is one question that Redis refused, and its answer. It never changes but for the
// links, which are its shard's, and for when it was last seen to stand.
type refusal struct {
	key      string
	cost     int64
	limit    Limit    // that refused
	statuses []Status // of each limit, at the time `at`
	at       time.Time
	until    time.Time // before that, the answer is the same if nothing touches the logs
	question rueidis.Cacheable

	// The reply that is in the client's cache while the log of the limit that refused is as
	// it was for statuses, nil if that is not known, and when it was asked for.
	told    *rueidis.RedisMessage
	askedAt time.Time

	seen atomic.Int64 // ns since started; when the client's cache last held told

	prev, next, sibling *refusal
}

func newRefusedQuestions() *refusedQuestions {
	q := &refusedQuestions{}
	for i := range q.shards {
		s := &q.shards[i]
		s.byKey = map[string]*refusal{}
		s.all.prev, s.all.next = &s.all, &s.all
	}
	return q
}

func (q *refusedQuestions) shard(key string) *refusalShard {
	return &q.shards[maphash.String(keySeed, key)%refusalShards]
}

// forget drops all refusals of a key that was reset or refunded, and those that are on
// their way.
func (q *refusedQuestions) forget(key string) {
	s := q.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	for s.byKey[key] != nil {
		s.unlink(s.byKey[key])
	}
}

// learn is told whether the client's cache answered what it should have.
func (q *refusedQuestions) learn(hit bool) {
	switch {
	case q.hit.Load():
	case hit:
		q.hit.Store(true)
	case q.misses.Add(1) >= cacheProbes:
		q.off.Store(true)
	}
}

// find returns the refusal of a question, or nil, and the epoch that put wants.
func (s *refusalShard) find(req Request) (*refusal, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookup(req), s.epoch
}

func (s *refusalShard) lookup(req Request) *refusal {
	for r := s.byKey[req.Key]; r != nil; r = r.sibling {
		if r.answers(req) {
			return r
		}
	}
	return nil
}

// put adds the refusal of a question and drops an older one. It does nothing if a key was
// forgotten since the epoch: Redis may have refused before the reset.
func (s *refusalShard) put(req Request, r *refusal, epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return
	}
	if old := s.lookup(req); old != nil {
		s.unlink(old)
	}
	// More leave than come, so that a flood of keys does not stay for ever.
	for range 2 {
		if oldest := s.all.prev; oldest != &s.all && (s.count >= refusalsPerShard || !r.at.Before(oldest.until)) {
			s.unlink(oldest)
		}
	}
	siblings := 1
	for other := s.byKey[r.key]; other != nil; other = other.sibling {
		if siblings++; siblings > refusalsPerKey {
			s.unlink(other)
			break
		}
	}
	r.sibling = s.byKey[r.key]
	s.byKey[r.key] = r
	r.prev, r.next = &s.all, s.all.next
	r.prev.next, r.next.prev = r, r
	s.count++
}

// drop removes a refusal that has ended.
func (s *refusalShard) drop(r *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.next != nil {
		s.unlink(r)
	}
}

// taken drops the refusals of the key that tell of logs to which a call was now added.
func (s *refusalShard) taken(req Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := s.byKey[req.Key]; r != nil; {
		sibling := r.sibling
		if r.tellsOf(req.Limits) {
			s.unlink(r)
		}
		r = sibling
	}
}

func (s *refusalShard) unlink(r *refusal) {
	r.prev.next, r.next.prev = r.next, r.prev
	if first := s.byKey[r.key]; first != r {
		for first.sibling != r {
			first = first.sibling
		}
		first.sibling = r.sibling
	} else if r.sibling != nil {
		s.byKey[r.key] = r.sibling
	} else {
		delete(s.byKey, r.key)
	}
	r.prev, r.next, r.sibling = nil, nil, nil
	s.count--
}

// answers tells whether the request is the question that was refused. Another cost is
// another question, and so are other limits.
func (r *refusal) answers(req Request) bool {
	if r.cost != req.Cost || len(r.statuses) != len(req.Limits) {
		return false
	}
	for i := range r.statuses {
		if r.statuses[i].Limit != req.Limits[i] {
			return false
		}
	}
	return true
}

func (r *refusal) tellsOf(limits []Limit) bool {
	return slices.ContainsFunc(r.statuses, func(s Status) bool {
		return slices.ContainsFunc(limits, func(l Limit) bool { return l.Name == s.Limit.Name })
	})
}

// holds tells whether now is in the time that the statuses can be told for.
func (r *refusal) holds(now time.Time) bool { return !now.Before(r.at) && now.Before(r.until) }

var started = time.Now()

// confirm notes that nothing had touched the log.
func (r *refusal) confirm(at time.Time) { r.seen.Store(int64(at.Sub(started))) }

// confirmed tells whether that was just now.
func (r *refusal) confirmed(now time.Time) bool {
	seen := r.seen.Load()
	return seen != 0 && now.Sub(started)-time.Duration(seen) < unlooked
}

// decision is the refusal as Redis would give it now.
func (r *refusal) decision(now time.Time) Decision {
	age := now.Sub(r.at)
	var d Decision
	if len(r.statuses) == 1 {
		d = NewDecision(0, r.statuses[0].aged(age, r.cost))
	} else {
		statuses := make([]Status, len(r.statuses))
		for i, s := range r.statuses {
			statuses[i] = s.aged(age, r.cost)
		}
		d = NewDecision(0, statuses...)
	}
	d.Reason = ReasonCached
	return d
}

// aged is the status some time later, if nothing has left the window.
func (s Status) aged(age time.Duration, cost int64) Status {
	left := func(d time.Duration) time.Duration {
		if d == 0 {
			return 0
		}
		return max(time.Microsecond, d-age)
	}
	s.ResetAfter = left(s.ResetAfter)
	if cost <= s.Limit.Max { // else no wait helps, and RetryAfter is the window
		s.RetryAfter = left(s.RetryAfter)
	}
	return s
}

// steadyFor is how long statuses only age: then a hit leaves a window.
func steadyFor(statuses []Status) time.Duration {
	shortest := maxWindow
	for _, s := range statuses {
		for _, d := range []time.Duration{s.RetryAfter, s.ResetAfter} {
			if d > 0 {
				shortest = min(shortest, d)
			}
		}
	}
	return shortest
}

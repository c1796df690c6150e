package lease

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	shards = 64

	// Loans that have ended and whose calls can still be settled, in each shard.
	endedLoans = 128

	minLoan = 8 // units

	// A key that uses fewer units in the time of a loan gets no further lease.
	quietUnits = 4
)

// shard has the pools of some of the keys under one lock.
type shard struct {
	mu    sync.Mutex
	pools map[string]*pool
	ended [endedLoans]*loan // a ring
	next  int               // in ended

	_ [64]byte // a shard in use does not slow its neighbour
}

// pool is the units that this process has of one key and its limits. The lock of its shard guards it.
type pool struct {
	key    string
	limits []slidingwindow.Limit
	other  *pool // of the same key and other limits
	length int64 // ns; of a loan

	first, second *loan // the first ends first; nil: none
	told          told

	renewing bool
	renewals int           // that have begun
	renewed  chan struct{} // closed when the renewal ends; nil if nobody waits for it
	err      error         // of the last renewal
	resets   int           // of the key: a loan that was asked for before a reset is given back
	rests    int64         // ns; no loan is asked for until then, because the last try brought none

	used  int64 // units, since `since`
	since int64 // ns; when a loan was last asked for
	last  int64 // ns; when it was used last

	gone bool // from its shard
}

func newPool(req *slidingwindow.Request, length, now int64) *pool {
	// The caller's string may be part of a larger one, or of memory it will reuse.
	return &pool{key: strings.Clone(req.Key), limits: req.Limits, length: length, since: now, last: now}
}

// add adds the pool of a key and limits that have none.
func (s *shard) add(p *pool) {
	p.other = s.pools[p.key]
	s.pools[p.key] = p
}

// find returns the pool of a request, or nil.
func (s *shard) find(req *slidingwindow.Request) *pool {
	p := s.pools[req.Key]
	for p != nil && !sameLimits(p.limits, req.Limits) {
		p = p.other
	}
	return p
}

// sameLimits reports whether limits are the same; those of one Limiter are one slice.
func sameLimits(a, b []slidingwindow.Limit) bool {
	return len(a) == len(b) && (&a[0] == &b[0] || slices.Equal(a, b))
}

// remove takes a pool without loans out.
func (s *shard) remove(p *pool) {
	p.gone = true
	first := s.pools[p.key]
	switch {
	case first == p && p.other == nil:
		delete(s.pools, p.key)
	case first == p:
		s.pools[p.key] = p.other
	default:
		for first.other != p {
			first = first.other
		}
		first.other = p.other
	}
}

// loan returns a loan of a key, or nil if it is not remembered.
func (s *shard) loan(key string, id int64) *loan {
	for p := s.pools[key]; p != nil; p = p.other {
		for _, l := range []*loan{p.first, p.second} {
			if l != nil && l.id == id {
				return l
			}
		}
	}
	for _, l := range s.ended {
		if l != nil && l.id == id && l.key == key {
			return l
		}
	}
	return nil
}

// awaitRenewal waits for a renewal that is under way. It releases the lock meanwhile.
func (s *shard) awaitRenewal(ctx context.Context, p *pool) error {
	if !p.renewing {
		return nil
	}
	if p.renewed == nil {
		p.renewed = make(chan struct{})
	}
	renewed := p.renewed
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-renewed:
		return nil
	case <-ctx.Done():
		return slidingwindow.ContextEnded(ctx)
	}
}

// never is after the end of every loan.
const never = math.MaxInt64

// end ends a loan, and reports whether the store must be told. Its calls can still be settled.
func (s *shard) end(l *loan) (unused bool) {
	s.ended[s.next%endedLoans] = l
	s.next++
	return l.ends()
}

// retire ends the loans that are over or used up, and returns those that the store must be told of.
func (s *shard) retire(p *pool, now int64) (unused []*loan) {
	for p.first != nil && (p.first.end < now || p.first.left == 0) {
		l := p.first
		p.first, p.second = p.second, nil
		if s.end(l) {
			unused = append(unused, l)
		}
	}
	return unused
}

// lend adds a loan to the pool, which has room for two. It returns the loans that must be given back.
func (s *shard) lend(p *pool, l *loan) (unused []*loan) {
	if p.second != nil { // what is left of them was too little for a call
		unused = s.retire(p, p.first.end+1)
	}
	if p.first == nil {
		p.first = l
	} else {
		p.second = l
	}
	return unused
}

// take takes n units from the pool, if it has them.
func (p *pool) take(n, now int64, d *slidingwindow.Decision) bool {
	l := p.first
	if !l.live(n, now) {
		if l = p.second; !l.live(n, now) {
			return false
		}
	}
	receipt := l.take(n)
	p.used += n
	p.last = now
	p.decide(n, receipt, now, d)
	d.Reason = l.reason
	return true
}

// decide makes d the Decision of a call that took n units.
func (p *pool) decide(n, receipt, now int64, d *slidingwindow.Decision) {
	var few [4]slidingwindow.Status // spares an allocation
	statuses := few[:0]
	left, end := p.left(now)
	for i := range p.limits {
		s := p.told.status(i, n, left, end, now)
		s.Receipt = receipt
		statuses = append(statuses, s)
	}
	*d = slidingwindow.NewDecision(0, statuses...)
}

// left is what is left of the loans, and when the last ends.
func (p *pool) left(now int64) (left, end int64) {
	for _, l := range [2]*loan{p.first, p.second} {
		if l != nil && now <= l.end {
			left, end = left+l.left, l.end
		}
	}
	return left, max(end, now)
}

// renews tells whether it is time for the next loan: soon there may be nothing left, and the key is
// busy.
func (p *pool) renews(now int64) bool {
	return !p.renewing && p.second == nil && now >= p.rests && (p.first == nil || 4*p.first.left <= p.first.granted || 4*(p.first.end-now) <= p.length) && !p.quiet(now)
}

// quiet reports whether the key is too quiet for loans to pay.
func (p *pool) quiet(now int64) bool {
	passed := now - p.since
	return now-p.last > p.length || passed >= p.length && float64(p.used)*float64(p.length) < quietUnits*float64(passed)
}

// asks returns how many units the next loan should have: a quarter more than the key uses in the time of
// a loan. The rate is measured since the last loan was asked for, over half the time of a loan at least,
// so that a short burst does not look like the beginning of a long one.
func (p *pool) asks(n, now int64) int64 {
	used := float64(p.used) * float64(p.length) / float64(max(now-p.since, p.length/2))
	p.used, p.since = 0, now
	return max(n, minLoan, int64(min(used*5/4, maxCalls)))
}

package lease

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// At most this many keys have leases at a time. Calls for others go to the store.
const maxPools = 10_000

// Store is a [slidingwindow.Store] that takes units of busy keys ahead from another one. All its
// methods are safe for concurrent use.
type Store struct {
	store  slidingwindow.Store
	name   string // in a Decision that a lease decided
	config Config
	parted slidingwindow.Parted // or nil
	now    func() int64         // ns, on a clock that nobody sets

	seed   maphash.Seed
	busy   *busyKeys
	shards [shards]shard
	pools  atomic.Int64
	loans  atomic.Int64 // the number of the last

	closed atomic.Bool
	work   sync.WaitGroup // what goes on in the background
	sweeps sweeper
}

var (
	_ slidingwindow.Store  = (*Store)(nil)
	_ slidingwindow.Parted = (*Store)(nil)
)

// New returns a store that takes units ahead from another one, such as a
// [slidingwindow.RedisStore], or a guarded store over it (package guard). Close it after the last
// call. Its errors match [slidingwindow.ErrInvalidConfig].
func New(store slidingwindow.Store, config Config) (*Store, error) {
	if err := config.check(store); err != nil {
		return nil, err
	}
	made := time.Now()
	s := &Store{
		store:  store,
		name:   fmt.Sprintf("lease:%016x", rand.Uint64()),
		config: config,
		now:    func() int64 { return int64(time.Since(made)) },
		seed:   maphash.MakeSeed(),
		busy:   &busyKeys{},
	}
	s.parted, _ = store.(slidingwindow.Parted)
	for i := range s.shards {
		s.shards[i].pools = map[string]*pool{}
	}
	return s, nil
}

// Part implements [slidingwindow.Parted].
func (s *Store) Part(key string) string {
	if s.parted == nil {
		return ""
	}
	return s.parted.Part(key)
}

// Take implements [slidingwindow.Store]. If the process has units for the call, it decides here.
// Otherwise the store decides.
func (s *Store) Take(ctx context.Context, req slidingwindow.Request) (d slidingwindow.Decision, err error) {
	if ctx.Err() != nil {
		return d, slidingwindow.ContextEnded(ctx)
	}
	hash := maphash.String(s.seed, req.Key)
	shard := &s.shards[hash%shards]
	shard.mu.Lock()
	p := shard.find(&req)
	switch {
	case p == nil:
		shard.mu.Unlock()
		d, err = s.store.Take(ctx, req)
		if err == nil && d.Granted > 0 && d.Delay == 0 && borrows(&req) {
			s.notice(shard, hash, &req, d)
		}
		return d, err
	case req.Peek:
		shard.mu.Unlock()
		return s.peek(ctx, shard, p, req)
	case !borrows(&req):
		shard.mu.Unlock()
		return s.pass(ctx, shard, p, req)
	}
	if now := s.now(); p.second != nil && !p.first.live(1, now) {
		s.giveBack(shard, shard.retire(p, now)...)
	}
	if s.use(p, req.Cost, &d) {
		if p.renews(p.last) && !s.closed.Load() {
			s.startRenewal(shard, p, 0)
		}
		shard.mu.Unlock()
		return d, nil
	}
	return s.await(ctx, shard, p, req)
}

// use takes n units from a pool, if it has them.
func (s *Store) use(p *pool, n int64, d *slidingwindow.Decision) bool {
	if !p.take(n, s.now(), d) {
		return false
	}
	d.Store = s.name
	return true
}

// borrows tells whether units of a pool may answer a request.
func borrows(req *slidingwindow.Request) bool { return req.Costs == nil && req.Ahead == 0 && !req.Peek }

// await answers a request when a renewal has ended, or has the store answer. It is called with the lock of
// the shard, and releases it.
func (s *Store) await(ctx context.Context, shard *shard, p *pool, req slidingwindow.Request) (d slidingwindow.Decision, err error) {
	for range 8 { // other calls may take all units first each time
		now := s.now()
		if p.gone || !p.renewing && (req.AtMost || now < p.rests || p.quiet(now) || s.closed.Load()) {
			break
		}
		if !p.renewing {
			s.startRenewal(shard, p, req.Cost)
		}
		if err = shard.awaitRenewal(ctx, p); err == nil {
			err = p.err
		}
		if err != nil {
			shard.mu.Unlock()
			return d, err
		}
		if s.use(p, req.Cost, &d) {
			shard.mu.Unlock()
			return d, nil
		}
		if left, _ := p.left(s.now()); left > 0 && req.Cost > 1 {
			break // the next loan would have no more
		}
	}
	shard.mu.Unlock()
	return s.pass(ctx, shard, p, req)
}

// pass has the store answer. What the pool has left must not make it refuse.
func (s *Store) pass(ctx context.Context, shard *shard, p *pool, req slidingwindow.Request) (slidingwindow.Decision, error) {
	if req.AtMost {
		s.empty(ctx, shard, p)
	}
	d, err := s.store.Take(ctx, req)
	if err == nil && !d.Allowed && s.empty(ctx, shard, p) {
		d, err = s.store.Take(ctx, req)
	}
	if err != nil {
		return d, err
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	p.last = s.now()
	p.overhear(d)
	if d.Granted > 0 && d.Delay == 0 && borrows(&req) {
		p.used += d.Granted
		p.rests = 0
	}
	return d, nil
}

// overhear notes what the store says between renewals. The answers of concurrent calls come in any order,
// so the smallest Remaining counts.
func (p *pool) overhear(d slidingwindow.Decision) {
	for i, s := range d.Statuses() {
		if i < len(p.told.statuses) {
			p.told.statuses[i].Remaining = min(p.told.statuses[i].Remaining, s.Remaining)
		}
	}
}

// hear notes what the store says of the limits at a renewal.
func (p *pool) hear(d slidingwindow.Decision, now int64) {
	if statuses := d.Statuses(); len(statuses) == len(p.limits) {
		p.told = told{statuses: slices.Clone(statuses), at: now}
	}
}

// empty gives back what is left of a pool, and reports whether it gave anything back.
func (s *Store) empty(ctx context.Context, shard *shard, p *pool) bool {
	shard.mu.Lock()
	_ = shard.awaitRenewal(ctx, p) // the caller's own call reports that ctx ended
	unused := shard.retire(p, never)
	shard.mu.Unlock()
	for _, l := range unused {
		_ = s.tell(context.WithoutCancel(ctx), shard, l) // after an error the store refuses the call
	}
	return len(unused) > 0
}

// peek answers what a call would be told, or less if a renewal begins meanwhile.
func (s *Store) peek(ctx context.Context, shard *shard, p *pool, req slidingwindow.Request) (slidingwindow.Decision, error) {
	shard.mu.Lock()
	err := shard.awaitRenewal(ctx, p)
	before := p.renewals
	shard.mu.Unlock()
	if err != nil {
		return slidingwindow.Decision{}, err
	}
	d, err := s.store.Take(ctx, req)
	if err != nil {
		return d, err
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	left, _ := p.left(s.now())
	if left == 0 || p.renewing || p.renewals != before || len(d.Statuses()) != len(p.limits) {
		return d, nil
	}
	statuses := d.Statuses()
	for i := range statuses {
		statuses[i].Remaining = min(statuses[i].Limit.Max, statuses[i].Remaining+left)
		if req.CostOf(i) <= statuses[i].Remaining {
			statuses[i].RetryAfter = 0
		}
	}
	reason := d.Reason
	if d = slidingwindow.NewDecision(0, statuses...); reason == slidingwindow.ReasonFallback {
		d.Reason = reason
	}
	return d, nil
}

// Settle implements [slidingwindow.Store]. What a call took of a lease goes back to the lease, or, if
// that has ended, to the store.
func (s *Store) Settle(ctx context.Context, key string, d slidingwindow.Decision, units []int64) error {
	if d.Store != s.name {
		return s.store.Settle(ctx, key, d, units)
	}
	if ctx.Err() != nil {
		return slidingwindow.ContextEnded(ctx)
	}
	shard := s.shardOf(key)
	statuses := d.Statuses()
	id, call := ofReceipt(statuses[0].Receipt)
	shard.mu.Lock()
	l := shard.loan(key, id)
	if l == nil {
		shard.mu.Unlock()
		return nil // forgotten: it counts as it was taken
	}
	now := s.now()
	l.settle(call, statuses[0].Granted, units, now)
	goesOn := now <= l.end
	shard.mu.Unlock()
	if goesOn {
		return nil
	}
	return s.tell(ctx, shard, l)
}

// Reset implements [slidingwindow.Store]. This process gives up its leases of the key. Another process
// may use its own until they end.
func (s *Store) Reset(ctx context.Context, key string, limits []slidingwindow.Limit) error {
	shard := s.shardOf(key)
	shard.mu.Lock()
	for p := shard.pools[key]; p != nil; p = p.other {
		if slices.ContainsFunc(p.limits, func(a slidingwindow.Limit) bool {
			return slices.ContainsFunc(limits, func(b slidingwindow.Limit) bool { return a.Name == b.Name })
		}) {
			p.resets++
			p.rests = 0
			s.giveBack(shard, shard.retire(p, never)...)
		}
	}
	shard.mu.Unlock()
	return s.store.Reset(ctx, key, limits)
}

func (s *Store) shardOf(key string) *shard {
	return &s.shards[maphash.String(s.seed, key)%shards]
}

// Close gives back what is left of all leases, and waits for that. Later calls go to the store, which
// Close does not close. The error tells what could not be given back. Such units count until one Window
// after the end of their lease.
func (s *Store) Close() error {
	s.closed.Store(true)
	var errs []error
	for i := range s.shards {
		shard := &s.shards[i]
		var unused []*loan
		shard.mu.Lock()
		for _, first := range shard.pools {
			for p := first; p != nil; p = p.other {
				unused = append(unused, shard.retire(p, never)...)
			}
		}
		shard.mu.Unlock()
		for _, l := range unused {
			errs = append(errs, s.tell(context.Background(), shard, l))
		}
	}
	s.work.Wait()
	return errors.Join(errs...)
}

package lease

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	storeTimeout = 5 * time.Second // for a store without a timeout of its own

	// Where leases do not work, none is tried for this long.
	restsFor = int64(time.Second)
)

// notice counts a call that the store granted, and makes a pool if its key is busy.
func (s *Store) notice(shard *shard, hash uint64, req *slidingwindow.Request, d slidingwindow.Decision) {
	length := s.length(req.Limits)
	if length == 0 || s.closed.Load() {
		return
	}
	now := s.now()
	hash ^= maphash.String(s.seed, req.Limits[0].Name) // each limiter counts a key for itself
	busy := s.busy.hit(hash, now/length)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if p := shard.find(req); p != nil {
		p.overhear(d) // it was made meanwhile
	} else if busy && s.pools.Load() < maxPools {
		shard.add(newPool(req, length, now))
		s.pools.Add(1)
		s.schedule(length)
	}
}

// startRenewal asks for a loan of n units or more in the background. The lock of the shard is held.
func (s *Store) startRenewal(shard *shard, p *pool, n int64) {
	p.renewing, p.err = true, nil
	p.renewals++
	now := s.now()
	s.giveBack(shard, shard.retire(p, now)...)
	cost, resets := p.asks(n, now), p.resets
	s.work.Go(func() { s.renew(shard, p, cost, resets) })
}

func (s *Store) renew(shard *shard, p *pool, cost int64, resets int) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	asked := s.now() // before the store's time, so that nothing is used after the time of the entry
	d, err := s.store.Take(ctx, slidingwindow.Request{Key: p.key, Limits: p.limits, Cost: cost, AtMost: true, Ahead: time.Duration(p.length)})
	shard.mu.Lock()
	defer shard.mu.Unlock()
	now := s.now()
	p.renewing = false
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		p.rests = now + restsFor
	case err != nil:
		p.err, p.rests = err, now+p.length
	case d.Granted == 0:
		p.hear(d, now)
		p.rests = now + max(int64(d.RetryAfter), int64(time.Millisecond))
	default:
		p.hear(d, now)
		l := newLoan(p, d, s.loans.Add(1)%maxLoans, asked+p.length)
		if now >= l.end {
			p.rests = now + restsFor // the store is too far away
		}
		if now >= l.end || p.resets != resets || s.closed.Load() {
			shard.end(l)
			s.giveBack(shard, l)
		} else {
			s.giveBack(shard, shard.lend(p, l)...)
		}
	}
	if p.renewed != nil {
		close(p.renewed)
		p.renewed = nil
	}
}

// giveBack tells the store in the background what was used of loans that have ended.
func (s *Store) giveBack(shard *shard, loans ...*loan) {
	for _, l := range loans {
		s.work.Go(func() { _ = s.tell(context.Background(), shard, l) })
	}
}

// tell has the store count what was used of a loan that has ended, and no more.
func (s *Store) tell(ctx context.Context, shard *shard, l *loan) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	l.storing.Lock()
	defer l.storing.Unlock()
	shard.mu.Lock()
	counted, used := l.inStore(), l.used()
	shard.mu.Unlock()
	err := s.store.Settle(ctx, l.key, counted, used)
	if err == nil {
		shard.mu.Lock()
		l.stored = used
		shard.mu.Unlock()
	}
	return err
}

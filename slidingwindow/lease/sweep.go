package lease

import (
	"sync"
	"time"
)

// sweeper gives back what is left of leases when they end, and forgets keys that have become quiet. It
// has a timer while there are pools, and no goroutine of its own.
type sweeper struct {
	mu    sync.Mutex
	timer *time.Timer // nil: there are no pools
	every time.Duration
}

// schedule has the pools swept at least twice during a loan of that length.
func (s *Store) schedule(length int64) {
	every := time.Duration(length) / 2
	s.sweeps.mu.Lock()
	defer s.sweeps.mu.Unlock()
	switch {
	case s.sweeps.timer == nil:
		s.sweeps.every = every
		s.sweeps.timer = time.AfterFunc(every, s.sweepAgain)
	case every < s.sweeps.every:
		s.sweeps.every = every
		s.sweeps.timer.Reset(every)
	}
}

// sweepAgain sweeps, and sets the timer while there are pools.
func (s *Store) sweepAgain() {
	s.sweep()
	s.sweeps.mu.Lock()
	defer s.sweeps.mu.Unlock()
	if s.pools.Load() == 0 || s.closed.Load() {
		s.sweeps.timer = nil
		return
	}
	s.sweeps.timer.Reset(s.sweeps.every)
}

// sweep ends what is over, and forgets what is quiet.
func (s *Store) sweep() {
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.Lock()
		now := s.now()
		for _, first := range shard.pools {
			for p := first; p != nil; p = p.other {
				s.giveBack(shard, shard.retire(p, now)...)
				if p.first == nil && !p.renewing && now >= p.rests && p.quiet(now) {
					shard.remove(p)
					s.pools.Add(-1)
				}
			}
		}
		shard.mu.Unlock()
	}
}

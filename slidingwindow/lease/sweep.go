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

// schedule sees to it that the pools are swept, at least twice while a loan of that length goes on.
func (s *Store) schedule(length int64) {
	every := time.Duration(length) / 2
	s.sweeper.mu.Lock()
	defer s.sweeper.mu.Unlock()
	switch {
	case s.timer == nil:
		s.every = every
		s.timer = time.AfterFunc(every, s.sweepAgain)
	case every < s.every:
		s.every = every
		s.timer.Reset(every)
	}
}

func (s *Store) sweepAgain() {
	s.sweep()
	s.sweeper.mu.Lock()
	defer s.sweeper.mu.Unlock()
	if s.pools.Load() == 0 || s.closed.Load() {
		s.timer = nil
		return
	}
	s.timer.Reset(s.every)
}

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

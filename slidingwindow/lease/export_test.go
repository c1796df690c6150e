package lease

import (
	"strings"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// NewOnClock is New on a clock that the test sets. Nothing is swept but by Sweep.
func NewOnClock(store slidingwindow.Store, config Config, clock func() time.Time) (*Store, error) {
	s, err := New(store, config)
	if err != nil {
		return nil, err
	}
	made := clock()
	s.now = func() int64 { return int64(clock().Sub(made)) }
	s.sweeps.timer = time.NewTimer(time.Hour) // which sweeps nothing, and is asked for nothing sooner
	return s, nil
}

// Sweep sweeps, and waits until all that goes on in the background has ended.
func (s *Store) Sweep() {
	s.sweep()
	s.work.Wait()
}

// Settled waits until all that goes on in the background has ended.
func (s *Store) Settled() { s.work.Wait() }

// Pools is how many keys have leases.
func (s *Store) Pools() int { return int(s.pools.Load()) }

// Left is what the process has of a key.
func (s *Store) Left(key string) (left int64) {
	shard := s.shardOf(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	for p := shard.pools[key]; p != nil; p = p.other {
		units, _ := p.left(s.now())
		left += units
	}
	return left
}

// Bounds of memory.
const (
	MaxPools   = maxPools
	EndedLoans = endedLoans
	BusyCalls  = busyCalls
)

// Decided tells whether a lease decided a call.
func Decided(d slidingwindow.Decision) bool { return strings.HasPrefix(d.Store, "lease:") }

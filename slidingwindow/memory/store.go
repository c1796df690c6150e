// Package memory has a slidingwindow.Store within one process. It is for tests, for development, for
// programs that run once, and for the fallback while Redis is away. All exported functions and methods
// are safe for concurrent use.
package memory

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	defaultMaxKeys = 100_000

	// More shards let more goroutines decide at once, but each keeps its own share
	// of MaxKeys, so small stores have few: a share of 1,024 or more evens out.
	maxShards      = 64
	minKeysInShard = 1024
)

// Config has the settings of a [Store]. The zero value is valid.
type Config struct {
	// MaxKeys is how many keys the store remembers: 1 or more. For a new key beyond that it forgets the
	// least recently used one. It forgets a key that is refused only if all are refused. A forgotten key
	// has its full Max again. A store of 2,048 keys or more has several parts with equal shares of
	// MaxKeys, so it may forget a key when it is almost full. 0 stands for the default, a negative value
	// is an error. Defaults to 100,000.
	MaxKeys int

	// Clock replaces the clock, for tests. The store calls it from any goroutine and holds a lock then, so
	// it must not call the store. Defaults to the monotonic clock of the process.
	Clock func() time.Time
}

// Store is a [slidingwindow.Store] within one process. It keeps the promises of
// [slidingwindow.RedisStore], but shares nothing with other processes. Its methods fail only if the
// caller's context has ended, and Settle if another store took the units.
//
// It runs no goroutine: calls forget the least recently used keys that were idle for two windows. A log
// takes 24 bytes for each allowed call of the last window, or for each Resolution of it, and has room
// for more. A decision on one limit of a key in use allocates nothing.
type Store struct {
	name   string // in a Decision
	seed   maphash.Seed
	shards []shard
	now    func() int64 // ns
}

var _ slidingwindow.Store = (*Store)(nil)

// New returns an empty store with the default settings.
func New() *Store {
	return newStore(Config{MaxKeys: defaultMaxKeys})
}

// NewWithConfig returns an empty store. Its errors match [slidingwindow.ErrInvalidConfig].
func NewWithConfig(config Config) (*Store, error) {
	if config.MaxKeys < 0 {
		return nil, fmt.Errorf("%w: memory.Config.MaxKeys is %d; allowed: 1 or more keys (0 stands for the default of %d)",
			slidingwindow.ErrInvalidConfig, config.MaxKeys, defaultMaxKeys)
	}
	if config.MaxKeys == 0 {
		config.MaxKeys = defaultMaxKeys
	}
	return newStore(config), nil
}

func newStore(config Config) *Store {
	store := &Store{name: fmt.Sprintf("memory:%016x", rand.Uint64()), seed: maphash.MakeSeed(), now: monotonicClock()}
	if config.Clock != nil {
		store.now = func() int64 { return config.Clock().UnixNano() }
	}
	store.shards = make([]shard, min(max(1, config.MaxKeys/minKeysInShard), maxShards))
	for i := range store.shards {
		// The remainder goes to the first shards, so that the shares add up to MaxKeys.
		share := config.MaxKeys / len(store.shards)
		if i < config.MaxKeys%len(store.shards) {
			share++
		}
		store.shards[i].init(share)
	}
	return store
}

func monotonicClock() func() int64 {
	start := time.Now()
	base := start.UnixNano()
	return func() int64 { return base + int64(time.Since(start)) }
}

// Take implements [slidingwindow.Store].
func (s *Store) Take(ctx context.Context, req slidingwindow.Request) (d slidingwindow.Decision, err error) {
	if ctx.Err() != nil {
		return d, slidingwindow.ContextEnded(ctx)
	}
	shard := s.shardOf(req.Key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.take(&req, s.now(), &d); d.Granted > 0 {
		d.Store = s.name
	}
	return d, nil
}

// Settle implements [slidingwindow.Store]. Only the Store that took units can settle them: a Decision of
// another process is [slidingwindow.ErrForeignDecision].
func (s *Store) Settle(ctx context.Context, key string, d slidingwindow.Decision, units []int64) error {
	if ctx.Err() != nil {
		return slidingwindow.ContextEnded(ctx)
	}
	if d.Granted == 0 {
		return nil
	}
	if d.Store != s.name {
		return fmt.Errorf("%w: Decision.Store is %.66q; allowed: %q", slidingwindow.ErrForeignDecision, d.Store, s.name)
	}
	shard := s.shardOf(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	var room [4]slidingwindow.Status // so many limits need no allocation
	for i, status := range d.AppendStatuses(room[:0]) {
		var anew int64
		if units != nil {
			anew = units[i]
		}
		if status.Receipt != 0 && anew != status.Granted {
			shard.settle(key, status.Limit.Name, status.Receipt, status.Granted, anew)
		}
	}
	return nil
}

// Reset implements [slidingwindow.Store].
func (s *Store) Reset(ctx context.Context, key string, limits []slidingwindow.Limit) error {
	if ctx.Err() != nil {
		return slidingwindow.ContextEnded(ctx)
	}
	shard := s.shardOf(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.reset(key, limits)
	return nil
}

func (s *Store) shardOf(key string) *shard {
	shard, _ := bits.Mul64(maphash.String(s.seed, key), uint64(len(s.shards)))
	return &s.shards[shard]
}

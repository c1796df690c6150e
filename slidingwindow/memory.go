package slidingwindow

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"
)

const (
	defaultMaxKeys = 100_000

	// More shards let more goroutines decide at once, but each keeps its own share
	// of MaxKeys, so small stores have few: a share of 1,024 or more evens out.
	maxShards      = 64
	minKeysInShard = 1024
)

// MemoryConfig has the settings of a [MemoryStore]. The zero value is valid.
type MemoryConfig struct {
	// MaxKeys is how many keys are remembered: 1 or more. A new key beyond that
	// makes the store forget another: the least recently used one, and one that is
	// being refused only when all of them are. A forgotten key has its full Max
	// again. 0 stands for the default, a negative value is an error. Defaults to
	// 100,000.
	MaxKeys int

	// Clock replaces the clock, for tests. It may be called from any goroutine.
	// Defaults to time.Now, read monotonically.
	Clock func() time.Time
}

// MemoryStore is a [Store] within one process, for tests, for programs that run
// once, and for development. It keeps the promises of [RedisStore], but for the
// sharing, and runs no goroutine. Its methods never fail, except when the caller's
// context has ended.
//
// A log takes 16 bytes for each allowed call of the last window.
type MemoryStore struct {
	seed   maphash.Seed
	shards []shard
	now    func() int64 // ns
}

var _ Store = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store. Its errors match [ErrInvalidConfig].
func NewMemoryStore(config MemoryConfig) (*MemoryStore, error) {
	if config.MaxKeys < 0 {
		return nil, fmt.Errorf("%w: MemoryConfig.MaxKeys is %d; allowed: 1 or more keys (0 stands for the default of %d)",
			ErrInvalidConfig, config.MaxKeys, defaultMaxKeys)
	}
	if config.MaxKeys == 0 {
		config.MaxKeys = defaultMaxKeys
	}
	store := &MemoryStore{seed: maphash.MakeSeed(), now: monotonicClock()}
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
	return store, nil
}

func monotonicClock() func() int64 {
	start := time.Now()
	base := start.UnixNano()
	return func() int64 { return base + int64(time.Since(start)) }
}

// Take implements [Store].
func (s *MemoryStore) Take(ctx context.Context, req Request) (Decision, error) {
	if ctx.Err() != nil {
		return Decision{}, contextEnded(ctx)
	}
	shard := s.shardOf(req.Key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return shard.take(req, s.now()), nil
}

// Reset implements [Store].
func (s *MemoryStore) Reset(ctx context.Context, key string, limits []Limit) error {
	if ctx.Err() != nil {
		return contextEnded(ctx)
	}
	shard := s.shardOf(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.reset(key, limits)
	return nil
}

func (s *MemoryStore) shardOf(key string) *shard {
	return &s.shards[maphash.String(s.seed, key)%uint64(len(s.shards))]
}

// shard is a share of the keys under one lock. Its methods need mu held.
type shard struct {
	mu       sync.Mutex
	maxKeys  int
	subjects map[string]*subject

	// Every subject is in one of the two rings, the most recently used one first.
	// refused has those whose last call was refused, until it would be allowed.
	open, refused subject
}

// subject is one key: its logs, by limit name.
type subject struct {
	key          string
	logs         []*memoryLog
	refusedUntil int64 // ns
	prev, next   *subject
}

func (s *shard) init(maxKeys int) {
	s.maxKeys = maxKeys
	s.subjects = make(map[string]*subject)
	for _, ring := range []*subject{&s.open, &s.refused} {
		ring.prev, ring.next = ring, ring
	}
}

func (s *shard) take(req Request, now int64) Decision {
	subj := s.subjects[req.Key]
	decision := s.judge(subj, req, now)
	switch {
	case req.Peek:
	case decision.Allowed:
		if subj == nil {
			subj = s.insert(req.Key, now)
		}
		for _, limit := range req.Limits {
			subj.log(limit.Name).add(now, int64(limit.Window), req.Cost)
		}
		s.touch(subj, &s.open)
	case subj != nil:
		subj.refusedUntil = now + int64(decision.RetryAfter)
		s.touch(subj, &s.refused)
	}
	return decision
}

// judge decides without changing anything; the Decision is what it will be after the
// units are taken.
func (s *shard) judge(subj *subject, req Request, now int64) Decision {
	if len(req.Limits) == 1 { // allocates nothing
		status := judgeLimit(subj, req.Limits[0], req.Cost, now)
		granted := grant(req, status.RetryAfter == 0)
		if granted > 0 {
			status = status.afterTaking(granted)
		}
		return status.decision(granted)
	}
	statuses := make([]Status, len(req.Limits))
	allowed := true
	for i, limit := range req.Limits {
		statuses[i] = judgeLimit(subj, limit, req.Cost, now)
		allowed = allowed && statuses[i].RetryAfter == 0
	}
	granted := grant(req, allowed)
	if granted > 0 {
		for i := range statuses {
			statuses[i] = statuses[i].afterTaking(granted)
		}
	}
	return NewDecision(granted, statuses...)
}

func judgeLimit(subj *subject, limit Limit, cost, now int64) Status {
	window := int64(limit.Window)
	log := subj.find(limit.Name)
	view := log.view(now, window)
	status := Status{Limit: limit, Remaining: max(0, limit.Max-view.used)}
	if view.used > 0 {
		status.ResetAfter = time.Duration(log.at(view.first) + window - now)
	}
	switch need := view.used + cost - limit.Max; {
	case cost > limit.Max:
		status.RetryAfter = limit.Window
	case need > 0:
		status.RetryAfter = time.Duration(log.freed(view, need) + window - now)
	}
	return status
}

func grant(req Request, allowed bool) int64 {
	if !allowed || req.Peek {
		return 0
	}
	return req.Cost
}

func (s Status) afterTaking(granted int64) Status {
	s.Remaining -= granted
	if s.ResetAfter == 0 {
		s.ResetAfter = s.Limit.Window
	}
	return s
}

func (s *shard) reset(key string, limits []Limit) {
	subj := s.subjects[key]
	if subj == nil {
		return
	}
	for _, limit := range limits {
		subj.drop(limit.Name)
	}
	if len(subj.logs) == 0 {
		s.remove(subj)
	} else {
		s.touch(subj, &s.open)
	}
}

func (s *shard) insert(key string, now int64) *subject {
	if len(s.subjects) >= s.maxKeys {
		s.remove(s.victim(now))
	}
	// The caller's string may be part of a larger one, or of memory it will reuse.
	subj := &subject{key: strings.Clone(key)}
	s.subjects[subj.key] = subj
	subj.prev, subj.next = subj, subj
	return subj
}

// victim is the subject to forget first: the least recently used one, of those that
// are not being refused if there is any.
func (s *shard) victim(now int64) *subject {
	if last := s.refused.prev; last != &s.refused && last.refusedUntil <= now {
		return last
	}
	if last := s.open.prev; last != &s.open {
		return last
	}
	return s.refused.prev
}

// touch moves subj to the front of ring.
func (s *shard) touch(subj, ring *subject) {
	subj.prev.next, subj.next.prev = subj.next, subj.prev
	subj.prev, subj.next = ring, ring.next
	ring.next.prev, ring.next = subj, subj
}

func (s *shard) remove(subj *subject) {
	subj.prev.next, subj.next.prev = subj.next, subj.prev
	delete(s.subjects, subj.key)
}

// find returns the log of a limit, an empty one if there is none. subj may be nil.
func (subj *subject) find(name string) *memoryLog {
	if subj != nil {
		for _, log := range subj.logs {
			if log.name == name {
				return log
			}
		}
	}
	return nil
}

// log is find that makes the missing log.
func (subj *subject) log(name string) *memoryLog {
	if log := subj.find(name); log != nil {
		return log
	}
	log := &memoryLog{name: name}
	subj.logs = append(subj.logs, log)
	return log
}

func (subj *subject) drop(name string) {
	for i, log := range subj.logs {
		if log.name == name {
			subj.logs = append(subj.logs[:i], subj.logs[i+1:]...)
			return
		}
	}
}

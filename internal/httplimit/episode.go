package httplimit

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const watchedKeys = 10_000

// episodes remember the keys that are being refused, to tell the first refusal of each
// from the others. An episode of a key ends when its quiet time has passed without a
// refusal. It is remembered by a hash, because a key may be of any length.
type episodes struct {
	seed maphash.Seed
	mu   sync.Mutex
	ends *simplelru.LRU[uint64, time.Time] // by the hash of the key
}

func newEpisodes() (*episodes, error) {
	ends, err := simplelru.NewLRU[uint64, time.Time](watchedKeys, nil)
	if err != nil {
		return nil, err
	}
	return &episodes{seed: maphash.MakeSeed(), ends: ends}, nil
}

// begins notes a refusal and tells whether it is the first one of an episode.
func (e *episodes) begins(key string, now time.Time, quiet time.Duration) bool {
	hash := maphash.String(e.seed, key)
	e.mu.Lock()
	defer e.mu.Unlock()
	end, known := e.ends.Get(hash)
	if later := now.Add(quiet); later.After(end) {
		e.ends.Add(hash, later)
	}
	return !known || !now.Before(end)
}

// episodeOf names the episode that a refusal belongs to.
func episodeOf(t *turn) string {
	reason := t.decision.Reason
	if reason == slidingwindow.ReasonCached {
		reason = slidingwindow.ReasonRefused // by the same log, without asking again
	}
	return string(reason) + t.key
}

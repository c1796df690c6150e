package otelmetrics

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const watchedKeys = 10_000

// episodes remember the keys that are being refused, to tell the first refusal of each from the
// others. An episode of a key ends when a Window of the limit has passed without a refusal. The last 10,000 keys
// are remembered: in a flood of more, an episode may be counted twice.
type episodes struct {
	mu   sync.Mutex
	ends *simplelru.LRU[episode, time.Time]
}

type episode struct {
	key uint64
	of  label
}

func newEpisodes() *episodes {
	ends, _ := simplelru.NewLRU[episode, time.Time](watchedKeys, nil) // its only error is of a size below 1
	return &episodes{ends: ends}
}

// begins notes a refusal and tells whether it is the first one of an episode. One that was
// refused without asking Redis is refused by the same log as before.
func (e *episodes) begins(of label, key uint64, now time.Time, window time.Duration) bool {
	if of.result == slidingwindow.ReasonCached {
		of.result = slidingwindow.ReasonRefused
	}
	is := episode{key, of}
	e.mu.Lock()
	defer e.mu.Unlock()
	end, known := e.ends.Get(is)
	if later := now.Add(window); later.After(end) {
		e.ends.Add(is, later)
	}
	return !known || !now.Before(end)
}

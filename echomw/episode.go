package echomw

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const watchedKeys = 10_000

// episodes remember the keys that are being refused, to tell the first refusal of each
// from the others. An episode of a key ends when its quiet time has passed without a
// refusal.
type episodes struct {
	mu   sync.Mutex
	ends *simplelru.LRU[string, time.Time] // by key
}

func newEpisodes() (*episodes, error) {
	ends, err := simplelru.NewLRU[string, time.Time](watchedKeys, nil)
	if err != nil {
		return nil, err
	}
	return &episodes{ends: ends}, nil
}

// begins notes a refusal and tells whether it is the first one of an episode.
func (e *episodes) begins(key string, now time.Time, quiet time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	end, known := e.ends.Get(key)
	e.ends.Add(key, now.Add(quiet))
	return !known || !now.Before(end)
}

package main

import (
	"net/http"
	"sync"
	"time"
)

// headerDeadline is when a call is of no use any more (RFC 3339).
const headerDeadline = "Deadline"

// api is the partner's: it allows so many calls in any window, as exactly as the
// limiter does, by a list of their times. What it refuses is what the workers must not send.
type api struct {
	max    int
	window time.Duration

	mu      sync.Mutex
	counted []time.Time // in the last window
	results
}

// results are what the API has seen.
type results struct {
	calls   int           // counted
	tooMany int           // refused, because the window was full
	tooLate int           // not counted, because the deadline had passed
	left    time.Duration // the least that a call had until its deadline
}

// ServeHTTP answers a call: 200 if it was counted, 408 if it is late, 429 if it is one too many.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	deadline, err := time.Parse(time.RFC3339Nano, r.Header.Get(headerDeadline))
	if err != nil {
		http.Error(w, headerDeadline+" must be a time of RFC 3339", http.StatusBadRequest)
		return
	}
	w.WriteHeader(a.count(time.Now, deadline))
}

// count counts a call by the clock that it reads.
func (a *api) count(clock func() time.Time, deadline time.Time) (status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := clock() // under the lock, so that the list is in order
	left := deadline.Sub(now)
	if left < 0 {
		a.tooLate++
		return http.StatusRequestTimeout
	}
	for len(a.counted) > 0 && now.Sub(a.counted[0]) >= a.window {
		a.counted = a.counted[1:]
	}
	if len(a.counted) == a.max {
		a.tooMany++
		return http.StatusTooManyRequests
	}
	if a.calls == 0 || left < a.left {
		a.left = left
	}
	a.calls++
	a.counted = append(a.counted, now)
	return http.StatusOK
}

func (a *api) seen() results {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.results
}

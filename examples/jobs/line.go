package main

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// line is the store as one lane sees it: it notes which turn the lane is given for its job, which
// Wait does not tell. It is a decorator of a Store, as a program's own metrics may be one.
type line struct {
	slidingwindow.Store
	news *news

	job  string
	turn time.Time // or a little later
}

// Take implements [slidingwindow.Store].
func (l *line) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	asked := time.Now()
	d, err := l.Store.Take(ctx, req)
	if err == nil && d.Granted > 0 {
		l.turn = asked.Add(d.Delay)
		// To RedisStore a receipt is the microsecond of the turn. A program has no use for it; the
		// check of the order has.
		l.news.tell(event{Job: l.job, Turn: d.Statuses()[0].Receipt})
	}
	return d, err
}

// left tells that the job waits no more, and has not had its turn.
func (l *line) left() { l.news.tell(event{Job: l.job}) }

// event is what a worker tells on its standard output.
type event struct {
	Job  string // as the queue gave it out
	Turn int64  // us, on the clock of Redis; 0 if the place in line was given back
}

// news is the worker's standard output, for all of its lanes.
type news struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (n *news) tell(e event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_ = n.out.Encode(e) // nobody reads it any more if this process is to end
}

package slidingwindow

import (
	"context"
	"sync"
	"time"
)

// call is one Take on its way through a batch.
type call struct {
	kind   kind
	key    string
	limits []Limit
	cost   int64
	costs  []int64       // as in Request
	ahead  time.Duration // MaxWait or Ahead of Request

	decision Decision
	err      error
	turns    chan turn // has room for one

	leading, left bool // as the group's lock guards

	patience *time.Timer // of its caller
}

var callPool = sync.Pool{New: func() any { return &call{turns: make(chan turn, 1), patience: stoppedTimer()} }}

// stoppedTimer is for one that is used again and again, by Reset and Stop.
func stoppedTimer() *time.Timer {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return timer
}

func newCall(req Request) *call {
	c := callPool.Get().(*call)
	c.ask(&req)
	return c
}

func (c *call) ask(req *Request) {
	c.kind, c.key, c.limits, c.cost, c.costs = kindOf(req), req.Key, req.Limits, req.Cost, req.Costs
	// An entry of whole microseconds must not be before a time at which its units may be used.
	c.ahead = req.MaxWait + (req.Ahead + time.Microsecond - 1).Truncate(time.Microsecond)
}

// costOf is how many units decide.lua is to take of a limit each time.
func (c *call) costOf(limit int) int64 {
	switch {
	case c.kind == kindAtMost:
		return 1
	case c.costs != nil:
		return c.costs[limit]
	default:
		return c.cost
	}
}

// finish tells the caller that the call is decided. It must be the last that is done with it.
func (c *call) finish() { c.turns <- decided }

// result is what the caller of a decided call gets. The call is used again after it.
func (c *call) result(ctx context.Context) (Decision, error) {
	d, err := c.decision, c.err
	c.key, c.limits, c.costs, c.decision, c.err = "", nil, nil, Decision{}, nil
	callPool.Put(c)
	if err != nil && hasEnded(ctx) { // the first thing to tell the caller
		return Decision{}, ContextEnded(ctx)
	}
	return d, err
}

// turn is what a waiting call is told.
type turn bool

const (
	decided turn = false // there is a decision or an error
	leads   turn = true  // the call leads the next batch
)

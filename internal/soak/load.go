package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	hotKeys  = 3
	tailKeys = 20_000

	// Calls go on while Redis cannot be reached, but not in a tight loop.
	afterError = 5 * time.Millisecond
)

// taken is a call that was allowed.
type taken struct {
	key      string
	id       uint64
	decision slidingwindow.Decision
}

// caller is one of the goroutines that make random calls.
type caller struct {
	*worker
	random *rand.Rand
	taken  [][]taken // some of the latest, by limiter
}

// call makes random calls until ctx ends.
func (w *worker) call(ctx context.Context, number uint64) {
	c := &caller{
		worker: w,
		random: rand.New(rand.NewPCG(w.job.Seed, 1000+w.job.Worker<<16+number)),
		taken:  make([][]taken, len(w.limiters)),
	}
	for ctx.Err() == nil {
		if c.random.IntN(2) == 0 {
			time.Sleep(time.Duration(c.random.Int64N(int64(2 * time.Millisecond))))
		}
		limiter := c.random.IntN(len(w.limiters))
		key := fmt.Sprintf("hot-%d", c.random.IntN(hotKeys))
		if c.random.IntN(4) == 0 {
			key = fmt.Sprintf("tail-%d", c.random.IntN(tailKeys))
		}
		switch n := c.random.IntN(1000); {
		case n < 3:
			c.reset(limiter, key)
		case n < 50:
			c.refund(limiter)
		case n < 120:
			c.peek(limiter, key)
		default:
			c.take(limiter, key)
		}
	}
}

// context is that of a call: some callers are in a hurry, and some give up.
func (c *caller) context() (context.Context, context.CancelFunc) {
	patience := time.Duration(c.random.Int64N(int64(5 * time.Millisecond)))
	switch c.random.IntN(20) {
	case 0:
		return context.WithTimeout(context.Background(), patience)
	case 1:
		ctx, cancel := context.WithCancel(context.Background())
		timer := time.AfterFunc(patience, cancel)
		return ctx, func() { timer.Stop(); cancel() }
	default:
		return context.Background(), func() {}
	}
}

func (c *caller) take(limiter int, key string) {
	ctx, cancel := c.context()
	defer cancel()
	n := int64(1)
	if c.random.IntN(4) == 0 {
		n = 3
		for _, limit := range c.limiters[limiter].Limits() {
			n = min(n, limit.Max)
		}
	}
	start := now()
	d, err := c.limiters[limiter].AllowN(ctx, key, n)
	end := now()
	if !c.judge(ctx, err, start, end) {
		return
	}
	c.judgeDecision(d, n)
	if !d.Allowed {
		return
	}
	id := c.out.send(event{Kind: admitted, Limiter: limiter, Key: key, Units: d.Granted, Start: start, End: end})
	if len(c.taken[limiter]) < 8 {
		c.taken[limiter] = append(c.taken[limiter], taken{key, id, d})
	} else {
		c.taken[limiter][c.random.IntN(8)] = taken{key, id, d}
	}
}

func (c *caller) refund(limiter int) {
	if len(c.taken[limiter]) == 0 {
		return
	}
	ctx, cancel := c.context()
	defer cancel()
	i := c.random.IntN(len(c.taken[limiter]))
	call := c.taken[limiter][i] // it stays, so some are refunded twice
	start := now()
	c.out.send(event{Kind: refunding, Limiter: limiter, Key: call.key, ID: call.id, Start: start})
	c.judge(ctx, c.limiters[limiter].Refund(ctx, call.key, call.decision), start, now())
	c.out.count(countRefunds)
}

func (c *caller) reset(limiter int, key string) {
	ctx, cancel := c.context()
	defer cancel()
	start := now()
	id := c.out.send(event{Kind: resetting, Limiter: limiter, Key: key, Start: start})
	err := c.limiters[limiter].Reset(ctx, key)
	end := now()
	if c.judge(ctx, err, start, end) {
		c.out.send(event{Kind: resetDone, Limiter: limiter, Key: key, ID: id, End: end})
	}
	c.out.count(countResets)
}

func (c *caller) peek(limiter int, key string) {
	ctx, cancel := c.context()
	defer cancel()
	start := now()
	d, err := c.limiters[limiter].Peek(ctx, key)
	if c.judge(ctx, err, start, now()) && d.Granted != 0 {
		c.out.send(event{Kind: problem, Text: fmt.Sprintf("a peek took units: %+v", d)})
	}
	c.out.count(countPeeks)
}

// judge counts a call and tells of an error; it reports whether there was none.
func (w *worker) judge(ctx context.Context, err error, start, end int64) bool {
	if err == nil {
		w.out.count(countCalls)
		return true
	}
	_, hurried := ctx.Deadline()
	switch {
	case errors.Is(err, slidingwindow.ErrStoreUnavailable):
		w.out.count(countCalls, errorUnavailable)
		w.out.send(event{Kind: unavailable, Start: start, End: end, Text: err.Error()})
		time.Sleep(afterError)
	case errors.Is(err, context.DeadlineExceeded) && hurried, errors.Is(err, context.Canceled) && ctx.Err() != nil:
		w.out.count(countCalls, errorContext)
	case errors.Is(err, slidingwindow.ErrForeignData):
		w.out.count(countCalls, errorForeign)
		w.out.send(event{Kind: problem, Text: "a log was taken for something else: " + err.Error()})
	default:
		w.out.count(countCalls, errorOther)
		w.out.send(event{Kind: problem, Text: "an error of no known type: " + err.Error()})
	}
	return false
}

// ahead bounds how far ahead of the clock a hit is: by a microsecond for each other one that was
// decided in its microsecond, and has as many units.
const ahead = time.Millisecond

// judgeDecision counts a decision on n units, and tells of one that cannot be.
func (w *worker) judgeDecision(d slidingwindow.Decision, n int64) {
	sound := d.Remaining >= 0 && d.Remaining <= d.Limit.Max
	switch {
	case d.Allowed:
		w.out.count(countAllowed)
		sound = sound && d.Granted == n && d.RetryAfter == 0
	case d.Reason == slidingwindow.ReasonCached:
		w.out.count(countCached)
		fallthrough
	default:
		w.out.count(countRefused)
		sound = sound && d.Granted == 0 && d.RetryAfter > 0 && d.RetryAfter <= d.Limit.Window+ahead
	}
	if !sound {
		w.out.send(event{Kind: problem, Text: fmt.Sprintf("a decision on %d units that cannot be: %+v", n, d)})
	}
}

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Timers run on another clock than Redis's, which may be slewed by half a thousandth:
// this is that of the longest window.
const clockSlack = maxWindow / 1000

// probe uses up keys of its own, waits as long as it is told to, and must then be allowed,
// however often it was refused: a refusal counts for nothing.
func (w *worker) probe(ctx context.Context, number uint64) {
	random := rand.New(rand.NewPCG(w.job.Seed, 1000+w.job.Worker<<16+1<<15+number))
	for n := 0; ctx.Err() == nil; n++ {
		limiter := random.IntN(len(w.limiters))
		key := fmt.Sprintf("probe-%d-%d-%d", w.job.Worker, number, n)
		refused, ok := w.useUp(ctx, limiter, key)
		// The first refusal is that of the call, later ones may be remembered: each must be right.
		for range random.IntN(10) * random.IntN(2) {
			if ok {
				refused, ok = w.ask(limiter, key)
				ok = ok && !refused.Allowed // else the window has moved on
			}
		}
		if !ok {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(refused.RetryAfter + clockSlack):
		}
		d, ok := w.ask(limiter, key)
		switch {
		case ok && d.Allowed:
			w.out.count(countHonoured)
		case ok:
			w.out.send(event{Kind: problem, Text: fmt.Sprintf("refused by %v (%s, RetryAfter %v), and after that again by %v (%s, RetryAfter %v)",
				refused.Limit, refused.Reason, refused.RetryAfter, d.Limit, d.Reason, d.RetryAfter)})
		}
	}
}

// useUp calls until it is refused. It gives up after an error: the call may have been counted.
func (w *worker) useUp(ctx context.Context, limiter int, key string) (refused slidingwindow.Decision, ok bool) {
	for ctx.Err() == nil {
		d, ok := w.ask(limiter, key)
		if !ok || !d.Allowed {
			return d, ok
		}
	}
	return slidingwindow.Decision{}, false
}

// ask makes one call; ok is false after an error.
func (w *worker) ask(limiter int, key string) (d slidingwindow.Decision, ok bool) {
	start := now()
	d, err := w.limiters[limiter].Allow(context.Background(), key)
	end := now()
	if !w.judge(context.Background(), err, start, end) {
		return d, false
	}
	w.judgeDecision(d, 1)
	if d.Allowed {
		w.out.send(event{Kind: admitted, Limiter: limiter, Key: key, Units: d.Granted, Start: start, End: end})
	}
	return d, true
}

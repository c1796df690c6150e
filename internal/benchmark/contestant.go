package main

import (
	"context"
	"math"
	"time"
)

// A decide asks a limiter for one unit of a key. Its error means that there was no decision.
type decide func(ctx context.Context, key string) (allowed bool, err error)

// quota is what every contestant is told to enforce on each key.
type quota struct {
	Max    int64
	Window time.Duration
}

// contestant is one limiter, or a floor: something that a limiter cannot be cheaper than
// without a trick.
type contestant struct {
	name      string
	algorithm string
	settings  string // of the client and the limiter, where a user would choose
	module    string // whose version the results name; "" for code of this repository
	admits    admits
	open      func(ctx context.Context, addr string, q quota) (decide, func(), error)
}

// admits is how many units of one key an algorithm may let pass in a while that begins
// without any.
type admits func(q quota, while time.Duration) float64

// oncePerWindow is true of a log, and of a counter whose window begins with the first call:
// it does not show the burst at the edge of a window, because no window began before.
func oncePerWindow(q quota, while time.Duration) float64 {
	return float64(q.Max) * (1 + math.Floor(float64(while)/float64(q.Window)))
}

// perClockWindow is true of counters whose windows begin at multiples on the clock: one may
// begin at any time.
func perClockWindow(q quota, while time.Duration) float64 {
	return float64(q.Max) + oncePerWindow(q, while)
}

// burstAndRate is true of GCRA and of token buckets, which refill all the while.
func burstAndRate(q quota, while time.Duration) float64 {
	return math.Ceil(float64(q.Max) * (1 + float64(while)/float64(q.Window)))
}

// anything is true of the floors, which do not limit.
func anything(quota, time.Duration) float64 { return math.Inf(1) }

// The contestants that others are compared with.
const (
	oursName = "ratelimit (sliding log)"
	incrName = "floor: INCR"
)

// onRedis are the contestants that share a quota through Redis, in the order of the tables.
func onRedis() []contestant {
	return []contestant{
		ours(),
		fixedWindowOnRueidis(),
		rueidisLimiter(),
		redisRate(),
		ululeOnRedis(),
		throttledOnRedis(),
		mennanovOnRedis(),
		httprateOnRedis(),
		handWrittenZSET(),
		rawINCR(),
		rawEVALSHA(),
	}
}

// contestantsNamed are those of onRedis with these names, in the same order.
func contestantsNamed(names ...string) []contestant {
	var found []contestant
	for _, c := range onRedis() {
		for _, name := range names {
			if c.name == name {
				found = append(found, c)
			}
		}
	}
	return found
}

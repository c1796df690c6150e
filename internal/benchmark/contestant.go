package main

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// A decide asks a limiter for one unit of a key. Its error means that there was no decision.
type decide func(ctx context.Context, key string) (allowed bool, err error)

// quota is what every contestant is told to enforce on each key.
type quota struct {
	Max    int64
	Window time.Duration
}

// demand is what a scenario asks of a limiter.
type demand struct {
	Limits []quota // all of them must have room
	Cost   int64   // units that each call takes of each of them; 0 stands for 1
}

// one is the simplest demand: one limit, and a unit a call.
func one(limit quota) demand { return demand{Limits: []quota{limit}} }

func (d demand) cost() int64 { return max(1, d.Cost) }

// calls is how many calls of one key may pass in a while that begins without any, if each limit
// admits so many units.
func (d demand) calls(admits admits, while time.Duration) float64 {
	fewest := math.Inf(1)
	for _, q := range d.Limits {
		fewest = min(fewest, math.Floor(admits(q, while)/float64(d.cost())))
	}
	return fewest
}

// role is what a contestant is there for.
type role int

const (
	peer      role = iota // a limiter that Go programs use
	own                   // the one that this repository is about
	byHand                // what programs have instead of a limiter
	yardstick             // code of this repository, to tell what costs what
	floor                 // something that a limiter cannot be cheaper than without a trick
)

// feature is what not every limiter has.
type feature string

const (
	costs   feature = "costs"   // a call may take several units
	cluster feature = "cluster" // it works with a Redis Cluster
	farAway feature = "far"     // it keeps up when Redis is far away
	state   feature = "state"   // its cost depends on what its keys went through
)

// contestant is a limiter, or something to compare limiters with.
type contestant struct {
	name      string
	algorithm string
	role      role
	settings  string // of the client and the limiter, where a user would choose
	module    string // whose version the results name; "" for code of this repository
	admits    admits
	without   map[feature]string // what it has not, and why
	open      func(ctx context.Context, at place, d demand) (decide, func(), error)
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
	oursName           = "ratelimit (sliding log)"
	leasedName         = "ratelimit with leases"
	incrName           = "floor: INCR"
	byHandName         = "hand-written ZSET script"
	rueidisLimiterName = "rueidislimiter"
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
		if slices.Contains(names, c.name) {
			found = append(found, c)
		}
	}
	return found
}

// having are those of some contestants that have all of these features, and a text that names the
// others, with why.
func having(contestants []contestant, features ...feature) (found []contestant, leftOut string) {
	var others []string
	for _, c := range contestants {
		reason := ""
		for _, f := range features {
			reason = cmp.Or(reason, c.without[f])
		}
		if reason == "" {
			found = append(found, c)
		} else {
			others = append(others, c.name+" ("+reason+")")
		}
	}
	if len(others) == 0 {
		return found, ""
	}
	return found, "Left out: " + strings.Join(others, ", ") + "."
}

// limits are what makes a limiter of one quota over a connection to Redis. The name is unlike
// those of the other limits of the same keys.
type limits func(name string, q quota, cost int64) (decide, error)

// callForEach is how users of a limiter without several limits have them: a limiter for each, asked
// one after the other, until one refuses.
func callForEach(d demand, limit limits) (decide, error) {
	asks := make([]decide, len(d.Limits))
	for i, q := range d.Limits {
		var err error
		if asks[i], err = limit(limitName(i), q, d.cost()); err != nil {
			return nil, err
		}
	}
	if len(asks) == 1 {
		return asks[0], nil
	}
	return func(ctx context.Context, key string) (bool, error) {
		for _, ask := range asks {
			if allowed, err := ask(ctx, key); err != nil || !allowed {
				return false, err
			}
		}
		return true, nil
	}, nil
}

func limitName(i int) string { return "l" + strconv.Itoa(i) }

// overGoRedis opens a contestant that needs a client of go-redis, and is closed with it.
func overGoRedis(limiting func(ctx context.Context, client redis.UniversalClient) limits) func(context.Context, place, demand) (decide, func(), error) {
	return func(ctx context.Context, at place, d demand) (decide, func(), error) {
		client := newGoRedis(at)
		ask, err := callForEach(d, limiting(ctx, client))
		if err != nil {
			_ = client.Close()
			return nil, nil, err
		}
		return ask, func() { _ = client.Close() }, nil
	}
}

// overRueidis is the same with a client of rueidis.
func overRueidis(limiting func(client rueidis.Client) limits) func(context.Context, place, demand) (decide, func(), error) {
	return func(_ context.Context, at place, d demand) (decide, func(), error) {
		client, err := newRueidis(at)
		if err != nil {
			return nil, nil, err
		}
		ask, err := callForEach(d, limiting(client))
		if err != nil {
			client.Close()
			return nil, nil, err
		}
		return ask, client.Close, nil
	}
}

package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// checker looks for windows that held more than their limit, and reports one only if this is
// certain. Of a hit it knows the interval in which its call was made, on the clock that Redis
// on this machine reads, too: Redis decided at some time within. So a set of hits is within a
// window if all of their intervals are. A hit that may have been given back by then, by a
// refund or a reset that had begun, does not count. Nor do calls that ended in an error.
//
// Times are in microseconds. It is not safe for concurrent use.
type checker struct {
	limiters [][]slidingwindow.Limit
	groups   map[groupKey]*group

	violations int64
	first      []violation // some of them
	windows    int64       // that were looked at: one for each hit and limit
	full       int64       // of these, those that certainly held exactly Max
	admitted   int64       // units
}

type groupKey struct {
	limiter int
	key     string
}

// group is what happened to one key of a limiter.
type group struct {
	hits   []hit
	resets []reset
}

type hit struct {
	id         uint64
	units      int64
	start, end int64
	freed      int64 // when it may have been given back at the earliest
}

type reset struct {
	id         uint64
	start, end int64 // it happened in between
}

// violation is a window that held too much.
type violation struct {
	limit    slidingwindow.Limit
	key      string
	units    int64
	from, to int64 // all of them fell in between
}

func (v violation) String() string {
	return fmt.Sprintf("%d units of %s in %v, allowed %d in %v, at %s",
		v.units, v.key, time.Duration(v.to-v.from)*time.Microsecond, v.limit.Max, v.limit.Window,
		time.UnixMicro(v.from).UTC().Format("15:04:05.000000"))
}

const (
	never = int64(1) << 62

	// A reset whose call failed may reach Redis later, with what was waiting in a
	// connection: but not later than this, as no fault lasts as long.
	resetLinger = int64(30 * time.Second / time.Microsecond)
)

func newChecker(limiters [][]slidingwindow.Limit) *checker {
	return &checker{limiters: limiters, groups: map[groupKey]*group{}}
}

func (c *checker) group(limiter int, key string) *group {
	at := groupKey{limiter, key}
	if c.groups[at] == nil {
		c.groups[at] = &group{}
	}
	return c.groups[at]
}

// admit notes a call that was allowed.
func (c *checker) admit(limiter int, key string, h hit) {
	h.freed = never
	g := c.group(limiter, key)
	g.hits = append(g.hits, h)
	c.admitted += h.units
}

// refund notes that the call of that id is given back, beginning now.
func (c *checker) refund(limiter int, key string, id uint64, now int64) {
	hits := c.group(limiter, key).hits
	for i := len(hits) - 1; i >= 0; i-- {
		if hits[i].id == id {
			hits[i].freed = min(hits[i].freed, now)
			return
		}
	}
}

// resetBegins notes that the key is reset, beginning now.
func (c *checker) resetBegins(limiter int, key string, id uint64, now int64) {
	g := c.group(limiter, key)
	g.resets = append(g.resets, reset{id: id, start: now, end: now + resetLinger})
}

// resetDone notes that the reset of that id has happened.
func (c *checker) resetDone(limiter int, key string, id uint64, now int64) {
	resets := c.group(limiter, key).resets
	for i := len(resets) - 1; i >= 0; i-- {
		if resets[i].id == id {
			resets[i].end = now
			return
		}
	}
}

// sweep checks the windows that began before the horizon, and forgets them. All that
// happened in them must have been noted.
func (c *checker) sweep(horizon int64) {
	for at, g := range c.groups {
		slices.SortFunc(g.hits, func(a, b hit) int { return cmp.Compare(a.start, b.start) })
		for i := range g.hits {
			for _, r := range g.resets {
				if r.end >= g.hits[i].start {
					g.hits[i].freed = min(g.hits[i].freed, max(r.start, g.hits[i].start))
				}
			}
		}
		past, _ := slices.BinarySearchFunc(g.hits, horizon, func(h hit, horizon int64) int { return cmp.Compare(h.start, horizon) })
		for _, limit := range c.limiters[at.limiter] {
			for i := range past {
				c.window(at.key, limit, g.hits[i:])
			}
		}
		g.hits = slices.Delete(g.hits, 0, past)
		g.resets = slices.DeleteFunc(g.resets, func(r reset) bool { return r.end < horizon })
		if len(g.hits)+len(g.resets) == 0 {
			delete(c.groups, at)
		}
	}
}

// window looks at the window that begins when the first of the hits did.
func (c *checker) window(key string, limit slidingwindow.Limit, hits []hit) {
	from := hits[0].start
	to := from + limit.Window.Microseconds() // not in the window: a hit leaves after exactly Window
	var within []hit
	var units int64
	freed := false
	for _, h := range hits {
		if h.start >= to {
			break
		}
		if h.end < to {
			within, units = append(within, h), units+h.units
			freed = freed || h.freed < to
		}
	}
	c.windows++
	if freed && units > limit.Max {
		units = mostAtOnce(within)
	}
	switch {
	case units > limit.Max:
		c.violations++
		if len(c.first) < 5 {
			end := slices.MaxFunc(within, func(a, b hit) int { return cmp.Compare(a.end, b.end) }).end
			c.first = append(c.first, violation{limit: limit, key: key, units: units, from: from, to: end})
		}
	case units == limit.Max && !freed:
		c.full++
	}
}

// mostAtOnce is the most units that were certainly counted at one time: when the last of
// some hits was admitted, while none of these may have been given back.
func mostAtOnce(hits []hit) int64 {
	type change struct{ at, units int64 }
	var changes []change
	for _, h := range hits {
		if h.freed > h.end {
			changes = append(changes, change{h.end, h.units}, change{h.freed, -h.units})
		}
	}
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.units, b.units)) // first what is freed
	})
	var now, most int64
	for _, change := range changes {
		now += change.units
		most = max(most, now)
	}
	return most
}

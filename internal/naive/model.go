// Package naive has a model of the sliding log that is easy to see right, and checks that need no
// store. Tests compare the stores with it.
package naive

import (
	"slices"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Model decides as a [slidingwindow.Store] must. It keeps every hit and counts them all for each
// call. It is for one goroutine. Set its fields before its first use.
type Model struct {
	// Now is what its clock shows.
	Now time.Time

	// Expires makes it forget a log on that clock, as soon as no window that is in use counts any of
	// its hits.
	Expires bool

	// Keeps makes it forget no hit until Reset.
	Keeps bool

	// Tick is the least difference between the times of two hits of one log that have as many units:
	// the later one is moved ahead of the clock. 0 stands for none.
	Tick time.Duration

	logs    map[logID]*log
	lastHit int64
}

type logID struct{ key, limit string }

// log has the hits of one limit of one key. Limits of one name share it, even if their windows
// differ. It remembers hits for the longest window of the calls that were allowed in the last such
// window. When a call of that window is allowed, it forgets the hits that have left it.
type log struct {
	hits []hit // in the order of their times
	keep time.Duration
	next time.Duration // the longest window since till was set: the next keep
	till time.Time     // a hit later than this sets keep and till again
}

type hit struct {
	at     time.Time // with a Resolution, the end of it
	units  int64
	id     int64
	shares bool // the limit has a Resolution
}

// endOf returns when the Resolution ends that holds the time.
func endOf(limit slidingwindow.Limit, at time.Time) time.Time {
	if r := limit.Resolution; r > 0 && at.UnixNano()%int64(r) > 0 {
		return at.Add(r - time.Duration(at.UnixNano()%int64(r)))
	}
	return at
}

// Advance moves the clock, back if d is negative.
func (m *Model) Advance(d time.Duration) { m.Now = m.Now.Add(d) }

// Take decides as slidingwindow.Store.Take must.
func (m *Model) Take(req slidingwindow.Request) slidingwindow.Decision {
	statuses := make([]slidingwindow.Status, len(req.Limits))
	allowed := true
	var wait time.Duration
	units := make([]int64, len(req.Limits))
	for i, limit := range req.Limits {
		statuses[i] = m.status(req.Key, limit)
		units[i] = req.CostOf(i)
		if req.AtMost {
			units[i] = 1
		}
		statuses[i].RetryAfter = m.retryAfter(req.Key, limit, units[i])
		if req.Wait && units[i] > 0 {
			statuses[i].RetryAfter = max(statuses[i].RetryAfter, m.line(req.Key, limit))
		}
		wait = max(wait, statuses[i].RetryAfter)
		allowed = allowed && (wait == 0 || req.Wait && wait <= req.MaxWait && units[i] <= limit.Max)
	}
	if !allowed || req.Peek {
		return slidingwindow.NewDecision(0, statuses...)
	}
	if req.AtMost {
		most := req.Cost
		for _, s := range statuses {
			most = min(most, s.Remaining)
		}
		units = slices.Repeat([]int64{most}, len(units))
	}
	m.lastHit++
	var delay time.Duration
	for i, limit := range req.Limits {
		statuses[i].RetryAfter = 0
		if units[i] == 0 {
			continue
		}
		at := m.add(m.log(req.Key, limit.Name), m.Now.Add(wait+req.Ahead), limit, units[i])
		statuses[i] = m.status(req.Key, limit)
		statuses[i].Receipt, statuses[i].Granted = m.lastHit, units[i]
		if req.Wait {
			delay = max(delay, at.Sub(m.Now))
		}
	}
	d := slidingwindow.NewDecision(0, statuses...)
	d.Delay = delay
	return d
}

// line returns how far ahead of the clock the last hit is that a limit counts. A hit in the Resolution
// of now is not ahead.
func (m *Model) line(key string, limit slidingwindow.Limit) (ahead time.Duration) {
	for _, h := range m.log(key, limit.Name).hits {
		if h.at.After(endOf(limit, m.Now)) {
			ahead = max(ahead, h.at.Sub(m.Now))
		}
	}
	return ahead
}

// log returns a log, and makes it if there is none.
func (m *Model) log(key, limit string) *log {
	id := logID{key, limit}
	l := m.logs[id]
	if l == nil || len(l.hits) == 0 || m.Expires && !m.Now.Before(l.till.Add(l.keep)) {
		if m.logs == nil {
			m.logs = make(map[logID]*log)
		}
		l = &log{}
		m.logs[id] = l
	}
	return l
}

// add logs units that are used at a time, or a Tick or more after it. It returns the time.
func (m *Model) add(l *log, used time.Time, limit slidingwindow.Limit, units int64) time.Time {
	h := hit{at: endOf(limit, used), units: units, id: m.lastHit, shares: limit.Resolution > 0}
	if !h.shares {
		h.at = m.free(l, used, units)
		used = h.at
	}
	window := limit.Window
	if window > l.keep || h.at.After(l.till) {
		l.keep = max(l.next, window)
		l.next, l.till = window, h.at.Add(l.keep)
	}
	l.next = max(l.next, window)
	if window == l.keep && !m.Keeps {
		l.hits = slices.DeleteFunc(l.hits, func(h hit) bool { return !h.at.After(m.Now.Add(-window)) })
	}
	l.insert(h)
	return used
}

// free returns the first time, from at on, at which the log has no hit of as many units.
func (m *Model) free(l *log, at time.Time, units int64) time.Time {
	for m.Tick > 0 && slices.ContainsFunc(l.hits, func(h hit) bool { return h.at.Equal(at) && h.units == units && !h.shares }) {
		at = at.Add(m.Tick)
	}
	return at
}

func (l *log) insert(h hit) {
	l.hits = append(l.hits, h)
	slices.SortStableFunc(l.hits, func(a, b hit) int { return a.at.Compare(b.at) })
}

// Settle replaces the units of a Decision of this model. nil gives all back.
func (m *Model) Settle(key string, d slidingwindow.Decision, units []int64) {
	for i, s := range d.Statuses() {
		l := m.log(key, s.Limit.Name)
		at := slices.IndexFunc(l.hits, func(h hit) bool { return s.Receipt != 0 && h.id == s.Receipt })
		if at < 0 || units != nil && units[i] == s.Granted {
			continue
		}
		h := l.hits[at]
		l.hits = slices.Delete(l.hits, at, at+1)
		if units == nil || units[i] == 0 {
			continue
		}
		anew := hit{at: h.at, units: units[i], shares: h.shares} // without its id: it is settled once
		if !anew.shares {
			anew.at = m.free(l, h.at, units[i])
		}
		l.insert(anew)
	}
}

// Reset forgets the logs.
func (m *Model) Reset(key string, limits []slidingwindow.Limit) {
	for _, limit := range limits {
		delete(m.logs, logID{key, limit.Name})
	}
}

// used counts the units in the window that ends at a time, and those ahead of it.
func (l *log) used(window time.Duration, at time.Time) int64 {
	var used int64
	for _, h := range l.hits {
		if h.at.After(at.Add(-window)) {
			used += h.units
		}
	}
	return used
}

func (m *Model) status(key string, limit slidingwindow.Limit) slidingwindow.Status {
	l := m.log(key, limit.Name)
	status := slidingwindow.Status{Limit: limit, Remaining: max(0, limit.Max-l.used(limit.Window, m.Now))}
	for _, h := range l.hits {
		if h.at.After(m.Now.Add(-limit.Window)) {
			status.ReplenishAfter = h.at.Add(limit.Window).Sub(m.Now)
			break
		}
	}
	return status
}

// retryAfter tries every moment at which something leaves the window.
func (m *Model) retryAfter(key string, limit slidingwindow.Limit, cost int64) time.Duration {
	l := m.log(key, limit.Name)
	if cost > limit.Max {
		return limit.Window
	}
	if cost == 0 || l.used(limit.Window, m.Now)+cost <= limit.Max {
		return 0
	}
	for _, h := range l.hits {
		leaves := h.at.Add(limit.Window)
		if leaves.After(m.Now) && l.used(limit.Window, leaves)+cost <= limit.Max {
			return leaves.Sub(m.Now)
		}
	}
	return -1 // impossible: a cost of at most Max fits into an empty log
}

package storetest

import (
	"slices"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Model is a store for one goroutine, written to be seen right rather than to be fast:
// it keeps every hit and counts them anew each time.
type Model struct {
	now     time.Time
	expires bool
	tick    time.Duration
	logs    map[logID]*log
	lastHit int64
}

type logID struct{ key, limit string }

// log is the hits of one limit of one key. Limits of one name share it, although their windows
// differ. It remembers hits for the longest window with which a call was allowed in the last
// such window: when a call of that window is allowed, it forgets what has left it.
type log struct {
	hits []hit // in the order of their times
	keep time.Duration
	next time.Duration // the longest window since till was set, which keep will then be
	till time.Time     // a later hit sets keep and till anew
}

type hit struct {
	at     time.Time // with a Resolution the end of it
	units  int64
	id     int64
	shares bool // an entry, where there are some; here it is as any other
}

// endOf is when the Resolution ends that a time is in.
func endOf(limit slidingwindow.Limit, at time.Time) time.Time {
	if r := limit.Resolution; r > 0 && at.UnixNano()%int64(r) > 0 {
		return at.Add(r - time.Duration(at.UnixNano()%int64(r)))
	}
	return at
}

// NewModel returns an empty model whose clock shows now. If it expires logs, one is gone when
// keep has passed since till. If tick is not 0, hits of one log and as many units have times
// that differ by this at least: a later one is moved ahead of the clock.
func NewModel(now time.Time, expires bool, tick time.Duration) *Model {
	return &Model{now: now, expires: expires, tick: tick, logs: map[logID]*log{}}
}

// Advance moves the clock, back if d is negative.
func (m *Model) Advance(d time.Duration) { m.now = m.now.Add(d) }

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
		at := m.add(m.log(req.Key, limit.Name), m.now.Add(wait+req.Ahead), limit, units[i])
		statuses[i] = m.status(req.Key, limit)
		statuses[i].Receipt, statuses[i].Granted = m.lastHit, units[i]
		if req.Wait {
			delay = max(delay, at.Sub(m.now))
		}
	}
	d := slidingwindow.NewDecision(0, statuses...)
	d.Delay = delay
	return d
}

// line is how far ahead the last unit is that a limit counts, if that is not in the Resolution of
// those that are used now.
func (m *Model) line(key string, limit slidingwindow.Limit) (ahead time.Duration) {
	for _, h := range m.log(key, limit.Name).hits {
		if h.at.After(endOf(limit, m.now)) {
			ahead = max(ahead, h.at.Sub(m.now))
		}
	}
	return ahead
}

// log finds a log, or makes it.
func (m *Model) log(key, limit string) *log {
	id := logID{key, limit}
	l := m.logs[id]
	if l == nil || len(l.hits) == 0 || m.expires && !m.now.Before(l.till.Add(l.keep)) {
		l = &log{}
		m.logs[id] = l
	}
	return l
}

// add logs units that are used at that time, or a tick or more later. It returns the time.
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
	if window == l.keep {
		l.hits = slices.DeleteFunc(l.hits, func(h hit) bool { return !h.at.After(m.now.Add(-window)) })
	}
	l.insert(h)
	return used
}

// free is the first time from that one on at which the log has no hit of as many units.
func (m *Model) free(l *log, at time.Time, units int64) time.Time {
	for m.tick > 0 && slices.ContainsFunc(l.hits, func(h hit) bool { return h.at.Equal(at) && h.units == units && !h.shares }) {
		at = at.Add(m.tick)
	}
	return at
}

func (l *log) insert(h hit) {
	l.hits = append(l.hits, h)
	slices.SortStableFunc(l.hits, func(a, b hit) int { return a.at.Compare(b.at) })
}

// Settle replaces the units of a Decision of this model; nil takes them back.
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
		anew := hit{at: h.at, units: units[i], shares: h.shares} // it is settled once, so its id is gone
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

// used counts the units that are in the window at some time, and those ahead of it.
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
	status := slidingwindow.Status{Limit: limit, Remaining: max(0, limit.Max-l.used(limit.Window, m.now))}
	for _, h := range l.hits {
		if h.at.After(m.now.Add(-limit.Window)) {
			status.ReplenishAfter = h.at.Add(limit.Window).Sub(m.now)
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
	if cost == 0 || l.used(limit.Window, m.now)+cost <= limit.Max {
		return 0
	}
	for _, h := range l.hits {
		leaves := h.at.Add(limit.Window)
		if leaves.After(m.now) && l.used(limit.Window, leaves)+cost <= limit.Max {
			return leaves.Sub(m.now)
		}
	}
	return -1 // cannot be: a cost of at most Max fits an empty log
}

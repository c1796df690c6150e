package storetest

import (
	"slices"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Model is a store for one goroutine, written to be seen right rather than to be fast:
// it keeps every hit and counts them anew each time. It forgets a hit when it allows a
// later call of a limit whose window the hit has left: a longer window, set afterwards,
// does not bring it back.
//
// If it expires logs, one is gone two windows after its last hit.
type Model struct {
	now     time.Time
	expires bool
	log     map[logID][]hit
	gone    map[logID]time.Time
	lastHit int64
}

type logID struct{ key, limit string }

type hit struct {
	at    time.Time
	units int64
	id    int64
}

// NewModel returns an empty model whose clock shows now.
func NewModel(now time.Time, expires bool) *Model {
	return &Model{now: now, expires: expires, log: map[logID][]hit{}, gone: map[logID]time.Time{}}
}

// Advance moves the clock, back if d is negative.
func (m *Model) Advance(d time.Duration) { m.now = m.now.Add(d) }

// Take decides as slidingwindow.Store.Take must.
func (m *Model) Take(req slidingwindow.Request) slidingwindow.Decision {
	statuses := make([]slidingwindow.Status, len(req.Limits))
	allowed := true
	for i, limit := range req.Limits {
		if id := (logID{req.Key, limit.Name}); m.expires && !m.now.Before(m.gone[id]) {
			delete(m.log, id)
		}
		statuses[i] = m.status(logID{req.Key, limit.Name}, limit)
		statuses[i].RetryAfter = m.retryAfter(logID{req.Key, limit.Name}, limit, req.Cost)
		allowed = allowed && statuses[i].RetryAfter == 0
	}
	if !allowed || req.Peek {
		return slidingwindow.NewDecision(0, statuses...)
	}
	m.lastHit++
	for i, limit := range req.Limits {
		id := logID{req.Key, limit.Name}
		m.log[id] = slices.DeleteFunc(m.log[id], func(h hit) bool { return !h.at.After(m.now.Add(-limit.Window)) })
		m.log[id] = append(m.log[id], hit{at: m.now, units: req.Cost, id: m.lastHit})
		slices.SortStableFunc(m.log[id], func(a, b hit) int { return a.at.Compare(b.at) })
		m.gone[id] = m.now.Add(2 * limit.Window)
		statuses[i] = m.status(id, limit)
		statuses[i].Receipt = m.lastHit
	}
	return slidingwindow.NewDecision(req.Cost, statuses...)
}

// Refund takes the hits of a Decision of this model back.
func (m *Model) Refund(key string, d slidingwindow.Decision) {
	for _, s := range d.Statuses() {
		id := logID{key, s.Limit.Name}
		m.log[id] = slices.DeleteFunc(m.log[id], func(h hit) bool { return h.id == s.Receipt })
	}
}

// Reset forgets the logs.
func (m *Model) Reset(key string, limits []slidingwindow.Limit) {
	for _, limit := range limits {
		delete(m.log, logID{key, limit.Name})
	}
}

// used counts the units that are in the window at some time, and those ahead of it.
func (m *Model) used(id logID, window time.Duration, at time.Time) int64 {
	var used int64
	for _, h := range m.log[id] {
		if h.at.After(at.Add(-window)) {
			used += h.units
		}
	}
	return used
}

func (m *Model) status(id logID, limit slidingwindow.Limit) slidingwindow.Status {
	status := slidingwindow.Status{
		Limit:     limit,
		Remaining: max(0, limit.Max-m.used(id, limit.Window, m.now)),
	}
	for _, h := range m.log[id] {
		if h.at.After(m.now.Add(-limit.Window)) {
			status.ResetAfter = h.at.Add(limit.Window).Sub(m.now)
			break
		}
	}
	return status
}

// retryAfter tries every moment at which something leaves the window.
func (m *Model) retryAfter(id logID, limit slidingwindow.Limit, cost int64) time.Duration {
	if cost > limit.Max {
		return limit.Window
	}
	if m.used(id, limit.Window, m.now)+cost <= limit.Max {
		return 0
	}
	for _, h := range m.log[id] {
		leaves := h.at.Add(limit.Window)
		if leaves.After(m.now) && m.used(id, limit.Window, leaves)+cost <= limit.Max {
			return leaves.Sub(m.now)
		}
	}
	panic("storetest: a cost of at most Max fits when the log is empty")
}

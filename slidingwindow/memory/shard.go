package memory

import (
	"container/heap"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// shard is a share of the keys under one lock. Its methods need mu held.
type shard struct {
	mu       sync.Mutex
	maxKeys  int
	subjects map[string]*subject
	lastID   int64 // of a log entry

	// Every subject is in one of the two. A key that is refused stays in refused until
	// it may come back, whatever else it does: no flood of other keys washes it out.
	refused refusals
	open    subject // a ring, the most recently used subject first
}

// subject is one key: its logs, by limit name.
type subject struct {
	key  string
	logs []*memoryLog
	used int64 // ns; when a call was last decided

	refusedUntil int64 // ns
	refusedIndex int   // where it is in refused, or notRefused
	prev, next   *subject
}

const notRefused = -1

func (s *shard) init(maxKeys int) {
	s.maxKeys = maxKeys
	s.subjects = make(map[string]*subject)
	s.open.prev, s.open.next = &s.open, &s.open
}

// take decides. It is given pointers, because copying a Decision takes long.
func (s *shard) take(req *slidingwindow.Request, now int64, d *slidingwindow.Decision) {
	subj := s.subjects[req.Key]
	id := s.lastID + 1
	units := judge(subj, req, now, id, d)
	at := now + int64(d.Delay+req.Ahead)
	switch {
	case req.Peek:
	case d.Allowed:
		if subj == nil {
			subj = s.insert(req.Key, now)
		}
		subj.add(req, units, now, at, id)
		s.lastID = id
		s.use(subj, now)
		s.forgetIdle(now)
	case subj != nil:
		subj.used = now
		s.refuse(subj, now+int64(d.RetryAfter))
	}
}

// judge makes the Decision without changing the subject, which may be nil: take then takes the units
// under that id. It returns how many units to take from each limit, unless the request has Costs.
func judge(subj *subject, req *slidingwindow.Request, now, id int64, d *slidingwindow.Decision) (units int64) {
	var few [4]slidingwindow.Status // so many limits need no allocation
	statuses := few[:min(len(req.Limits), len(few))]
	if len(req.Limits) > len(few) {
		statuses = make([]slidingwindow.Status, len(req.Limits))
	}
	var wait time.Duration // until all fits
	possible := true
	units = req.Cost
	for i := range req.Limits {
		cost := req.CostOf(i)
		if req.AtMost {
			cost = 1
		}
		judgeLimit(subj, &req.Limits[i], cost, now, req.Wait, &statuses[i])
		wait = max(wait, statuses[i].RetryAfter)
		possible = possible && cost <= req.Limits[i].Max
		if req.AtMost {
			units = min(units, statuses[i].Remaining)
		}
	}
	if allowed := wait == 0 || req.Wait && possible && wait <= req.MaxWait; !allowed || req.Peek {
		*d = slidingwindow.NewDecision(0, statuses...)
		return 0
	}
	for i := range statuses {
		statuses[i].RetryAfter = 0
		limit := &req.Limits[i]
		at := timeOf(limit, now+int64(wait+req.Ahead))
		take(&statuses[i], granted(req, i, units), time.Duration(at-now), subj.receipt(limit, at, now, id))
	}
	*d = slidingwindow.NewDecision(0, statuses...)
	d.Delay = wait
	return units
}

// granted returns how many units an allowed request takes from its i-th limit.
func granted(req *slidingwindow.Request, i int, units int64) int64 {
	if req.Costs != nil {
		return req.Costs[i]
	}
	return units
}

// timeOf returns the time of the entry for a hit: the end of its Resolution, if the limit has one.
func timeOf(limit *slidingwindow.Limit, at int64) int64 {
	if r := int64(limit.Resolution); r > 0 {
		at += r - 1
		at -= at % r
	}
	return at
}

// receipt returns the id of the entry that gets the units of a call with that id.
func (subj *subject) receipt(limit *slidingwindow.Limit, at, now, id int64) int64 {
	if limit.Resolution == 0 {
		return id
	}
	if shared := subj.find(limit.Name, now).shared(at); shared != none {
		return shared
	}
	return -id
}

func judgeLimit(subj *subject, limit *slidingwindow.Limit, cost, now int64, inLine bool, status *slidingwindow.Status) {
	window := int64(limit.Window)
	log := subj.find(limit.Name, now)
	view := log.view(now, window)
	status.Limit, status.Remaining = *limit, max(0, limit.Max-view.used)
	if view.used > 0 {
		status.ReplenishAfter = time.Duration(log.at(view.first) + window - now)
	}
	switch need := view.used + cost - limit.Max; {
	case cost == 0:
	case cost > limit.Max:
		status.RetryAfter = limit.Window
	case need > 0:
		status.RetryAfter = time.Duration(log.freed(view, need) + window - now)
	}
	if inLine && cost > 0 && view.first < log.size() && log.at(log.len-1) > timeOf(limit, now) { // behind the last
		status.RetryAfter = max(status.RetryAfter, time.Duration(log.at(log.len-1)-now))
	}
}

// take changes the status to what it is after the units were taken for a time that far ahead.
func take(s *slidingwindow.Status, granted int64, ahead time.Duration, id int64) {
	if granted == 0 {
		return
	}
	s.Granted = granted
	s.Remaining = max(0, s.Remaining-granted)
	s.Receipt = id
	// The hit comes first if there is no other, or all others are further ahead of the clock.
	if leaves := ahead + s.Limit.Window; s.ReplenishAfter == 0 || s.ReplenishAfter > leaves {
		s.ReplenishAfter = leaves
	}
}

func (s *shard) settle(key, limitName string, id, taken, units int64) {
	subj := s.subjects[key]
	if subj == nil {
		return
	}
	fewer := false
	subj.logs = slices.DeleteFunc(subj.logs, func(log *memoryLog) bool {
		if log.name == limitName {
			fewer = log.settle(id, taken, units)
		}
		return log.len == 0
	})
	if len(subj.logs) == 0 {
		s.remove(subj)
		return
	}
	if fewer && subj.refusedIndex != notRefused {
		// It may come back now. If another limit refuses it still, that will protect it again.
		heap.Remove(&s.refused, subj.refusedIndex)
		s.enlist(subj)
	}
}

func (s *shard) reset(key string, limits []slidingwindow.Limit) {
	subj := s.subjects[key]
	if subj == nil {
		return
	}
	subj.logs = slices.DeleteFunc(subj.logs, func(log *memoryLog) bool {
		return slices.ContainsFunc(limits, func(limit slidingwindow.Limit) bool { return limit.Name == log.name })
	})
	if len(subj.logs) == 0 {
		s.remove(subj)
	}
}

func (s *shard) insert(key string, now int64) *subject {
	if len(s.subjects) >= s.maxKeys {
		s.remove(s.victim(now))
	}
	// The caller's string may be part of a larger one, or of memory it will reuse.
	subj := &subject{key: strings.Clone(key), refusedIndex: notRefused}
	subj.prev, subj.next = subj, subj
	s.subjects[subj.key] = subj
	return subj
}

// victim returns the subject to forget for a new one: the least recently used one that is not refused
// now. If all are refused, it is the one that may come back first.
func (s *shard) victim(now int64) *subject {
	last := s.open.prev
	if last == &s.open {
		return s.refused[0]
	}
	if len(s.refused) > 0 && s.refused[0].refusedUntil <= now && s.refused[0].used < last.used {
		return s.refused[0]
	}
	return last
}

// forgetIdle forgets a key or two whose logs are gone, so that a store that is in use does
// not keep what a busier time left.
func (s *shard) forgetIdle(now int64) {
	if last := s.open.prev; last != &s.open && last.gone(now) {
		s.remove(last)
	}
	if len(s.refused) > 0 && s.refused[0].refusedUntil <= now && s.refused[0].gone(now) {
		s.remove(s.refused[0])
	}
}

// use makes subj the most recently used one.
func (s *shard) use(subj *subject, now int64) {
	subj.used = now
	if subj.refusedIndex != notRefused {
		if subj.refusedUntil > now {
			return // another limit still refuses it
		}
		heap.Remove(&s.refused, subj.refusedIndex)
	}
	s.enlist(subj)
}

// enlist puts subj at the head of the ring.
func (s *shard) enlist(subj *subject) {
	subj.unlink()
	subj.prev, subj.next = &s.open, s.open.next
	s.open.next.prev, s.open.next = subj, subj
}

// refuse protects subj until it may come back.
func (s *shard) refuse(subj *subject, until int64) {
	switch {
	case subj.refusedIndex == notRefused:
		subj.unlink()
		subj.refusedUntil = until
		heap.Push(&s.refused, subj)
	case until > subj.refusedUntil:
		subj.refusedUntil = until
		heap.Fix(&s.refused, subj.refusedIndex)
	}
}

func (s *shard) remove(subj *subject) {
	if subj.refusedIndex != notRefused {
		heap.Remove(&s.refused, subj.refusedIndex)
	}
	subj.unlink()
	delete(s.subjects, subj.key)
}

// unlink takes subj out of the ring, if it is in it.
func (subj *subject) unlink() {
	subj.prev.next, subj.next.prev = subj.next, subj.prev
	subj.prev, subj.next = subj, subj
}

// find returns the log of a limit, or nil, which is an empty one. subj may be nil.
func (subj *subject) find(name string, now int64) *memoryLog {
	if subj != nil {
		for _, log := range subj.logs {
			if log.name == name && !log.gone(now) {
				return log
			}
		}
	}
	return nil
}

// add logs units of each limit, and forgets the logs that are gone: one key may meet any
// number of limits over time.
func (subj *subject) add(req *slidingwindow.Request, units, now, at, id int64) {
	subj.logs = slices.DeleteFunc(subj.logs, func(log *memoryLog) bool { return log.gone(now) })
	for i := range req.Limits {
		units := granted(req, i, units)
		if units == 0 {
			continue
		}
		limit := &req.Limits[i]
		log := subj.find(limit.Name, now)
		if log == nil {
			log = &memoryLog{name: limit.Name}
			subj.logs = append(subj.logs, log)
		}
		id := id
		if limit.Resolution > 0 {
			id = -id
		}
		log.add(now, timeOf(limit, at), int64(limit.Window), units, id)
	}
}

// gone reports whether all of its logs are gone.
func (subj *subject) gone(now int64) bool {
	for _, log := range subj.logs {
		if !log.gone(now) {
			return false
		}
	}
	return true
}

// refusals is a heap of the subjects that are refused, the one that may come back first
// at its top.
type refusals []*subject

func (r refusals) Len() int           { return len(r) }
func (r refusals) Less(i, j int) bool { return r[i].refusedUntil < r[j].refusedUntil }

func (r refusals) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].refusedIndex, r[j].refusedIndex = i, j
}

// Push implements heap.Interface.
func (r *refusals) Push(x any) {
	subj := x.(*subject)
	subj.refusedIndex = len(*r)
	*r = append(*r, subj)
}

// Pop implements heap.Interface.
func (r *refusals) Pop() any {
	last := len(*r) - 1
	subj := (*r)[last]
	(*r)[last] = nil
	*r = (*r)[:last]
	subj.refusedIndex = notRefused
	return subj
}

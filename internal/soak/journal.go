package main

import (
	"fmt"
	"maps"
	"sync"
	"time"
)

// journal notes what the workers tell and which faults there were, and holds one against
// the other. It is safe for concurrent use.
type journal struct {
	grace int64 // after a fault, in microseconds

	mu       sync.Mutex
	checker  *checker
	counts   map[string]int64
	faults   map[string]int // by kind
	spans    []span
	doubts   []doubt
	problems map[string]int // by text, a bounded number of texts
	order    []string       // of the problems
	peakHeap uint64
	lastHeap uint64
}

// span is the time in which calls may fail.
type span struct {
	worker     uint64 // only those of this one; 0 for all
	start, end int64
}

// doubt is a call that failed and met no fault that was known by then.
type doubt struct {
	worker uint64
	event  event
}

const (
	mostProblems = 20

	// What a worker may have left when it has closed everything: code that ran once has
	// its tables. And before that: most of it are refusals that it remembers.
	mostHeapAtTheEnd = 16 << 20
	mostHeap         = 256 << 20
)

func newJournal(c *checker, grace time.Duration) *journal {
	return &journal{
		grace: grace.Microseconds(), checker: c,
		counts: map[string]int64{}, faults: map[string]int{}, problems: map[string]int{},
	}
}

// note notes an event.
func (j *journal) note(worker uint64, e event) {
	id := worker<<40 | e.ID
	j.mu.Lock()
	defer j.mu.Unlock()
	switch e.Kind {
	case admitted:
		j.checker.admit(e.Limiter, e.Key, hit{id: id, units: e.Units, start: e.Start, end: e.End})
	case refunding:
		j.checker.refund(e.Limiter, e.Key, id, e.Start)
	case resetting:
		j.checker.resetBegins(e.Limiter, e.Key, id, e.Start)
	case resetDone:
		j.checker.resetDone(e.Limiter, e.Key, id, e.End)
	case unavailable:
		if !j.excused(worker, e) {
			j.doubts = append(j.doubts, doubt{worker, e})
		}
	case problem:
		j.add(e.Text)
	case counted:
		for name, n := range e.Counts {
			j.counts[name] += n
		}
	case ended:
		j.peakHeap, j.lastHeap = max(j.peakHeap, e.PeakHeap), max(j.lastHeap, e.Heap)
		if e.Goroutines > 0 {
			j.add(fmt.Sprintf("worker %d left %d goroutines", worker, e.Goroutines))
		}
		if e.Heap > mostHeapAtTheEnd || e.PeakHeap > mostHeap {
			j.add(fmt.Sprintf("worker %d had %d MiB of heap, and %d MiB with everything closed; allowed: %d and %d",
				worker, e.PeakHeap>>20, e.Heap>>20, mostHeap>>20, mostHeapAtTheEnd>>20))
		}
	}
}

// excused tells whether a call that failed met a fault.
func (j *journal) excused(worker uint64, e event) bool {
	for i := len(j.spans) - 1; i >= 0; i-- {
		s := j.spans[i]
		if (s.worker == 0 || s.worker == worker) && s.start <= e.End && e.Start <= s.end+j.grace {
			return true
		}
	}
	return false
}

// judge decides about the calls that failed, when all faults are known.
func (j *journal) judge() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, d := range j.doubts {
		if !j.excused(d.worker, d.event) {
			j.add(fmt.Sprintf("an error although nothing was wrong: %s", d.event.Text))
		}
	}
	j.doubts = nil
}

// machineStalled notes that the machine had no time for this process, and so maybe for no other.
func (j *journal) machineStalled(start, end int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.faults["the machine stalls"]++
	j.spans = append(j.spans, span{start: start, end: end})
}

// faultBegins notes a fault; worker is the one that it is for, or 0. Call ends when it is over.
func (j *journal) faultBegins(kind *faultKind, worker uint64) (ends func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.faults[kind.name]++
	if !kind.mayFail {
		return func() {}
	}
	i := len(j.spans)
	j.spans = append(j.spans, span{worker: worker, start: now(), end: never})
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.spans[i].end = now()
	}
}

// problem notes that something is wrong.
func (j *journal) problem(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.add(text)
}

func (j *journal) add(text string) {
	if j.problems[text] == 0 {
		if len(j.order) >= mostProblems {
			text = "further problems"
		}
		if j.problems[text] == 0 {
			j.order = append(j.order, text)
		}
	}
	j.problems[text]++
}

// sweep checks the windows that began before the horizon.
func (j *journal) sweep(horizon int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.checker.sweep(horizon)
}

// progress is how far it has come.
func (j *journal) progress() (calls, faults, violations int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := range maps.Values(j.faults) {
		faults += int64(n)
	}
	return j.counts[countCalls], faults, j.checker.violations
}

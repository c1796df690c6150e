package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// An error is excused by a fault that it met, by no other, and by none that must not be
// noticed.
func TestOnlyFaultsExcuseErrors(t *testing.T) {
	t.Parallel()
	harmful, harmless := &faultKind{name: "harmful", mayFail: true}, &faultKind{name: "harmless"}
	second := time.Second.Microseconds()
	for name, test := range map[string]struct {
		kind       *faultKind
		worker     uint64
		open       bool
		start, end int64 // of the call, in seconds from the fault
		excused    bool
	}{
		"during":                {kind: harmful, start: 0, end: 0, excused: true},
		"while it goes on":      {kind: harmful, open: true, start: 90, end: 91, excused: true},
		"met by its beginning":  {kind: harmful, start: -5, end: 1, excused: true},
		"within the grace":      {kind: harmful, start: 1, end: 9, excused: true},
		"before":                {kind: harmful, start: -2, end: -1},
		"after the grace":       {kind: harmful, start: 4, end: 5},
		"harmless":              {kind: harmless},
		"of this worker":        {kind: harmful, worker: 1, excused: true},
		"of another worker":     {kind: harmful, worker: 2},
		"no fault at that time": {kind: harmless, open: true, start: 90, end: 91},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJournal(newChecker(nil), 3*time.Second)
			at := now()
			over := j.faultBegins(test.kind, test.worker)
			if !test.open {
				over()
			}
			j.note(1, event{Kind: unavailable, Start: at + test.start*second, End: at + test.end*second + second/2, Text: "no answer"})
			j.judge()
			assert.Equal(t, test.excused, len(j.order) == 0, "%v", j.order)
		})
	}
}

// Its end is known after the errors that it made.
func TestAMachineThatStallsExcusesErrors(t *testing.T) {
	t.Parallel()
	second := time.Second.Microseconds()
	j := newJournal(newChecker(nil), time.Second)
	j.note(1, event{Kind: unavailable, Start: 4 * second, End: 5 * second})
	j.machineStalled(3*second, 5*second)
	j.judge()
	assert.Empty(t, j.order)
	j.note(1, event{Kind: unavailable, Start: second, End: 2 * second})
	j.judge()
	assert.Len(t, j.order, 1)
}

func TestWhatIsLeftIsAProblem(t *testing.T) {
	t.Parallel()
	for _, e := range []event{
		{Kind: ended, Goroutines: 1},
		{Kind: ended, Heap: mostHeapAtTheEnd + 1},
		{Kind: ended, PeakHeap: mostHeap + 1},
		{Kind: problem, Text: "an error of no known type"},
	} {
		j := newJournal(newChecker(nil), time.Second)
		j.note(1, e)
		assert.Len(t, j.order, 1, "%+v", e)
	}
	j := newJournal(newChecker(nil), time.Second)
	j.note(1, event{Kind: ended, Heap: mostHeapAtTheEnd, PeakHeap: mostHeap})
	assert.Empty(t, j.order)
}

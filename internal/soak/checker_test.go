package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const ms = int64(1000)

// tenPer100ms is the limit of these tests.
var tenPer100ms = slidingwindow.Limit{Name: "ten", Max: 10, Window: 100 * time.Millisecond}

// trace feeds a checker with one key of one limiter.
type trace struct {
	*checker
	id uint64
}

func newTrace() *trace {
	return &trace{checker: newChecker([][]slidingwindow.Limit{{tenPer100ms}})}
}

func (tr *trace) hits(n int, start, end int64) (last uint64) {
	for range n {
		tr.id++
		tr.admit(0, "k", hit{id: tr.id, units: 1, start: start, end: end})
	}
	return tr.id
}

func (tr *trace) found() int64 {
	tr.sweep(never)
	return tr.violations
}

// A fixed window of 100ms lets 10 through at its end, and 10 more after its edge.
func TestEdgeBurstOfAFixedWindowIsFound(t *testing.T) {
	t.Parallel()
	tr := newTrace()
	tr.hits(10, 1095*ms, 1097*ms)
	tr.hits(10, 1101*ms, 1103*ms)
	require.Positive(t, tr.found())
	assert.Equal(t, violation{limit: tenPer100ms, key: "k", units: 20, from: 1095 * ms, to: 1103 * ms}, tr.first[0])
}

func TestOneTooManyIsFoundWhateverTheOrder(t *testing.T) {
	t.Parallel()
	tr := newTrace()
	tr.hits(5, 1050*ms, 1051*ms)
	tr.hits(6, 1000*ms, 1001*ms)
	assert.Positive(t, tr.found())
}

func TestUnitsCount(t *testing.T) {
	t.Parallel()
	tr := newTrace()
	tr.admit(0, "k", hit{id: 1, units: 6, start: 1000 * ms, end: 1001 * ms})
	tr.admit(0, "k", hit{id: 2, units: 5, start: 1000 * ms, end: 1001 * ms})
	tr.admit(0, "other", hit{id: 3, units: 10, start: 1000 * ms, end: 1001 * ms})
	assert.EqualValues(t, 1, tr.found())
	assert.EqualValues(t, 1, tr.full, "that of the other key")
}

func TestWhatIsNotCertainIsNotFound(t *testing.T) {
	t.Parallel()
	for name, happened := range map[string]func(*trace){
		"a window later": func(tr *trace) {
			tr.hits(10, 1000*ms, 1000*ms)
			tr.hits(10, 1100*ms, 1100*ms)
		},
		"perhaps a window later": func(tr *trace) {
			tr.hits(10, 1000*ms, 1001*ms)
			tr.hits(10, 1002*ms, 1100*ms)
		},
		"perhaps a window earlier": func(tr *trace) {
			tr.hits(10, 900*ms, 1001*ms)
			tr.hits(10, 1002*ms, 1003*ms)
		},
		"refunded before": func(tr *trace) {
			tr.refund(0, "k", tr.hits(10, 1000*ms, 1001*ms), 1002*ms)
			tr.hits(1, 1002*ms, 1003*ms)
		},
		"perhaps refunded before": func(tr *trace) {
			tr.refund(0, "k", tr.hits(10, 1000*ms, 1001*ms), 1005*ms)
			tr.hits(1, 1002*ms, 1006*ms)
		},
		"reset between": func(tr *trace) {
			tr.hits(10, 1000*ms, 1001*ms)
			tr.resetBegins(0, "k", 1, 1002*ms)
			tr.resetDone(0, "k", 1, 1003*ms)
			tr.hits(10, 1004*ms, 1005*ms)
		},
		"a reset perhaps between": func(tr *trace) {
			tr.resetBegins(0, "k", 1, 990*ms)
			tr.hits(10, 1000*ms, 1001*ms)
			tr.hits(10, 1004*ms, 1005*ms)
			tr.resetDone(0, "k", 1, 1004*ms)
		},
		"a failed reset": func(tr *trace) {
			tr.resetBegins(0, "k", 1, 990*ms)
			tr.hits(20, 1500*ms, 1501*ms)
		},
		"another key": func(tr *trace) {
			tr.hits(10, 1000*ms, 1001*ms)
			tr.admit(0, "other", hit{id: 99, units: 1, start: 1000 * ms, end: 1001 * ms})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTrace()
			happened(tr)
			assert.Zero(t, tr.found(), "%v", tr.first)
		})
	}
}

func TestWhatWasGivenBackExcusesNoMore(t *testing.T) {
	t.Parallel()
	for name, happened := range map[string]func(*trace){
		"one refund, two more": func(tr *trace) {
			tr.refund(0, "k", tr.hits(10, 1000*ms, 1001*ms), 1002*ms)
			tr.hits(2, 1002*ms, 1003*ms)
		},
		"a refund too late": func(tr *trace) {
			first := tr.hits(10, 1000*ms, 1001*ms)
			tr.hits(1, 1002*ms, 1003*ms)
			tr.refund(0, "k", first, 1004*ms)
		},
		"a reset too late": func(tr *trace) {
			tr.hits(11, 1000*ms, 1001*ms)
			tr.resetBegins(0, "k", 1, 1002*ms)
		},
		"a reset too early": func(tr *trace) {
			tr.resetBegins(0, "k", 1, 990*ms)
			tr.resetDone(0, "k", 1, 999*ms)
			tr.hits(11, 1000*ms, 1001*ms)
		},
		"a reset of another key": func(tr *trace) {
			tr.hits(10, 1000*ms, 1001*ms)
			tr.resetBegins(0, "other", 1, 1001*ms)
			tr.hits(1, 1002*ms, 1003*ms)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTrace()
			happened(tr)
			assert.Positive(t, tr.found())
		})
	}
}

// Sweeping in between must neither lose a window that spans the horizon nor count one twice.
func TestSweepsAddUp(t *testing.T) {
	t.Parallel()
	whole, parts := newTrace(), newTrace()
	for i := range int64(200) {
		at := 1000*ms + i*7*ms // 15 in a window
		whole.hits(1, at, at+ms)
		parts.hits(1, at, at+ms)
		if i%10 == 9 {
			parts.sweep(at - 200*ms)
		}
	}
	require.Positive(t, whole.found())
	assert.Equal(t, whole.violations, parts.found())
	assert.Equal(t, whole.windows, parts.windows)
	assert.Empty(t, parts.groups, "all is forgotten")
}

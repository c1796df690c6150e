package httplimit

import (
	"slices"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// FromContext returns the last Decision on the request of c; false if there is none.
func (f *Framework[C]) FromContext(c C) (d slidingwindow.Decision, ok bool) {
	r := f.recordOf(c)
	if r == nil {
		return slidingwindow.Decision{}, false
	}
	return r.last().decision, true
}

// KeyFromContext returns the key that the Decision of [Framework.FromContext] is about.
func (f *Framework[C]) KeyFromContext(c C) (key string, ok bool) {
	r := f.recordOf(c)
	if r == nil {
		return "", false
	}
	return r.last().key, true
}

const recordKey = "github.com/seed-e8747a6b/ratelimit/echomw"

// record is what the limiters said of one request so far.
type record struct {
	turns  []turn
	usual  [1]turn // room for one limiter
	told   told
	sender sender
}

// turn is one request at one gate.
type turn struct {
	plan     *plan
	key      string
	decision slidingwindow.Decision
	at       time.Time // of the decision
	tells    bool      // in the headers of the response
}

// note adds a turn to the record of the request.
func (f *Framework[C]) note(c C, t *turn) *record {
	r := f.recordOf(c)
	if r == nil {
		r = &record{}
		r.turns = r.usual[:0]
		f.Set(c, recordKey, r)
	}
	r.turns = append(r.turns, *t)
	return r
}

// recordOf returns the record of the request, nil if no limiter has decided.
func (f *Framework[C]) recordOf(c C) *record {
	r, _ := f.Get(c, recordKey).(*record)
	return r
}

func (r *record) last() *turn { return &r.turns[len(r.turns)-1] }

// countedTwice tells whether the last turn has counted the request in a log that had
// counted it before: that of one store, limit name and key.
func (r *record) countedTwice() bool {
	last := r.last()
	return slices.ContainsFunc(r.turns[:len(r.turns)-1], func(t turn) bool {
		return t.key == last.key && t.plan.sharesLogs(last.plan)
	})
}

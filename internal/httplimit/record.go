package httplimit

import (
	"context"
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
	turns   []turn
	usual   [1]turn // room for one limiter
	told    told
	sender  sender
	context unending
}

// turn is one request at one gate.
type turn struct {
	plan     *plan
	key      string
	decision slidingwindow.Decision
	at       time.Time // of the decision
	tells    bool      // in the headers of the response
}

// next returns a turn that is not in the record yet. The record has room for the first one.
func (r *record) next() *turn {
	if len(r.turns) == 0 {
		return &r.usual[0]
	}
	return &turn{}
}

// add puts a turn of next into the record.
func (r *record) add(t *turn) {
	if t == &r.usual[0] {
		r.turns = r.usual[:]
		return
	}
	r.turns = append(r.turns, *t)
}

// deciding returns the context for a decision on a request with the context ctx. The deadline of ctx
// bounds the decision, but an earlier end of ctx does not. net/http ends ctx when the client has
// left, but also when the client has only closed its side and waits for the answer. A decision that
// is given up then may have taken units that nobody gives back.
func (r *record) deciding(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, has := ctx.Deadline(); has {
		return context.WithDeadline(context.WithoutCancel(ctx), deadline)
	}
	r.context = unending{ctx}
	return &r.context, func() {}
}

// unending is a context with the values of another, and never ends. context.WithoutCancel would take
// memory for each request.
type unending struct{ context.Context }

func (unending) Done() <-chan struct{} { return nil }
func (unending) Err() error            { return nil }

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

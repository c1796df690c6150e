package echomw

import (
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// FromContext returns the Decision on the request of c, for the handlers behind the
// middleware, for its own handlers and hooks, and for middleware further out after the
// handlers have run: the place to count metrics by Decision.Reason. After several limiters
// it is that of the last one that decided, which is the nearest to the handler. ok is false
// if none did: the request was skipped or free, the limiter is off, or could not decide.
func FromContext(c echo.Context) (d slidingwindow.Decision, ok bool) {
	r := recordOf(c)
	if r == nil {
		return slidingwindow.Decision{}, false
	}
	return r.last().decision, true
}

// KeyFromContext returns the key that the Decision of [FromContext] is about, as
// [slidingwindow.Limiter.Reset] and [slidingwindow.Limiter.Refund] take it: a Reset is of
// the limits of that Limiter, not of others that Config.Limits gave. It is what the
// KeyFunc made of the request: do not log it if that may hold a secret.
func KeyFromContext(c echo.Context) (key string, ok bool) {
	r := recordOf(c)
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
func note(c echo.Context, t *turn) *record {
	r := recordOf(c)
	if r == nil {
		r = &record{}
		r.turns = r.usual[:0]
		c.Set(recordKey, r)
	}
	r.turns = append(r.turns, *t)
	return r
}

// recordOf returns the record of the request, nil if no limiter has decided.
func recordOf(c echo.Context) *record {
	r, _ := c.Get(recordKey).(*record)
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

package echomw

import (
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// FromContext returns the Decision on the request of c, for the handlers behind the
// middleware, for its own handlers and hooks, and for middleware further out after the
// handlers have run: the place to count metrics by Decision.Reason. After several limiters
// it is that of the last one that decided, which is the nearest to the handler. ok is false
// if none did: the request was skipped or free, the limiter is disabled, or could not decide.
func FromContext(c echo.Context) (d slidingwindow.Decision, ok bool) {
	r, ok := c.Get(recordKey).(*record)
	if !ok {
		return slidingwindow.Decision{}, false
	}
	return r.last.decision, true
}

// KeyFromContext returns the key that the Decision of [FromContext] is about, as
// [slidingwindow.Limiter.Reset] and [slidingwindow.Limiter.Refund] take it: a Reset is of
// the limits of that Limiter, not of others that Config.Limits gave. It is what the
// KeyFunc made of the request: do not log it if that may hold a secret.
func KeyFromContext(c echo.Context) (key string, ok bool) {
	r, ok := c.Get(recordKey).(*record)
	if !ok {
		return "", false
	}
	return r.last.key, true
}

const recordKey = "github.com/seed-e8747a6b/ratelimit/echomw"

// record is what the limiters said of one request so far.
type record struct {
	last turn
	told told
	past []turn // those before the last one
}

// note adds a turn to the record of the request.
func note(c echo.Context, t turn) *record {
	r, ok := c.Get(recordKey).(*record)
	if !ok {
		r = &record{last: t}
		c.Set(recordKey, r)
		return r
	}
	r.past = append(r.past, r.last)
	r.last = t
	return r
}

// toldOn returns what the response was told so far.
func toldOn(c echo.Context) *told {
	if r, ok := c.Get(recordKey).(*record); ok {
		return &r.told
	}
	return new(told)
}

// countedTwice tells whether a limit of the last turn's name had counted the request
// against the same key before.
func (r *record) countedTwice() bool {
	return slices.ContainsFunc(r.past, func(t turn) bool {
		return t.key == r.last.key && slices.ContainsFunc(t.plan.names, func(name string) bool {
			return slices.Contains(r.last.plan.names, name)
		})
	})
}

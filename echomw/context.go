package echomw

import (
	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// FromContext returns the Decision on the request of c, for the handlers behind the
// middleware, for its own handlers and hooks, and for middleware further out after the
// handlers have run: the place to count metrics by Decision.Reason. After several limiters
// it is that of the last one that decided, which is the nearest to the handler. ok is false
// if none did: the request was skipped or free, the limiter is off, or could not decide.
func FromContext(c echo.Context) (d slidingwindow.Decision, ok bool) {
	return framework.FromContext(c)
}

// KeyFromContext returns the key that the Decision of [FromContext] is about, as
// [slidingwindow.Limiter.Settle], Refund and Reset take it: a Reset is of
// the limits of that Limiter, not of others that Config.Limits gave. It is what
// Config.Key made of the request: do not log it if that may hold a secret.
func KeyFromContext(c echo.Context) (key string, ok bool) { return framework.KeyFromContext(c) }

package echomw

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// ResponseStatus returns the HTTP status of the response to c, after a handler that
// returned err: the one that was sent or, if none was yet, the one that Echo's default
// HTTPErrorHandler will make of err, which is 500 for an error that is no [echo.HTTPError]
// itself. An HTTPErrorHandler of the application may choose another; of what is written
// past c.Response(), as after Hijack or Flush, Echo knows nothing. It is for
// [Config].CountIf.
func ResponseStatus(c echo.Context, err error) int {
	if c.Response().Committed || err == nil {
		return cmp.Or(c.Response().Status, http.StatusOK)
	}
	outer, ok := err.(*echo.HTTPError) //nolint:errorlint // as Echo's handler, which sends 500 for one that is wrapped
	if !ok || outer == nil {
		return http.StatusInternalServerError
	}
	if inner, ok := outer.Internal.(*echo.HTTPError); ok && inner != nil { //nolint:errorlint // as Echo does
		return inner.Code
	}
	return outer.Code
}

// ErrPanicked is what [Config].CountIf is told of a handler that panicked.
var ErrPanicked = errors.New("echomw: the handler panicked")

// settle runs the next handler and gives back what the request took if it does not count,
// also when the handler panics.
func (g *gate) settle(c echo.Context, next echo.HandlerFunc, r *record) error {
	t, err := *r.last(), ErrPanicked
	// Not the context of the request that further middleware puts into c: it may be over
	// when that middleware is.
	ctx := c.Request().Context()
	defer func() {
		if !g.counts(ctx, c, err) {
			g.refund(ctx, &t)
		}
	}()
	err = r.serve(c, next)
	return err
}

func (g *gate) counts(ctx context.Context, c echo.Context, err error) bool {
	if g.CountIf != nil {
		return g.CountIf(c, err)
	}
	if d, ok := FromContext(c); ok && !d.Allowed {
		return false // a limiter further in refused it, and a refusal is never counted
	}
	failed := ResponseStatus(c, err) >= http.StatusBadRequest
	committed := c.Response().Committed
	if broken := ctx.Err() != nil || err != nil && committed; broken && !failed {
		if committed {
			// Whether the client got what it wanted is not known, and up to the client: it can
			// read an answer and hang up before its end, or close its side and read on.
			return true
		}
		failed = true
	}
	return failed != g.SkipFailed
}

// refundTimeout bounds a refund, besides the store's own timeout.
const refundTimeout = 5 * time.Second

// refund gives back what a turn took. The client may have gone away and its context ended,
// which is no reason to keep it.
func (g *gate) refund(ctx context.Context, t *turn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refundTimeout)
	defer cancel()
	if err := g.Limiter.Refund(ctx, t.key, t.decision); err != nil {
		g.refunds.warn(g.logger(), err, "echomw: what requests took cannot be given back, so they count although they should not")
	}
}

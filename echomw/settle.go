package echomw

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
)

// ResponseStatus returns the HTTP status of the response to c, after a handler that
// returned err: the one that was sent or, if none was yet, the one that Echo's default
// HTTPErrorHandler will make of err, which is 500 for an error that is no [echo.HTTPError].
// An HTTPErrorHandler of the application may choose another. It is for [Config].CountIf.
func ResponseStatus(c echo.Context, err error) int {
	if c.Response().Committed || err == nil {
		return cmp.Or(c.Response().Status, http.StatusOK)
	}
	status := http.StatusInternalServerError
	var outer *echo.HTTPError
	if errors.As(err, &outer) && outer != nil {
		status = outer.Code
		if inner, ok := outer.Internal.(*echo.HTTPError); ok && inner != nil { //nolint:errorlint // as Echo does
			status = inner.Code
		}
	}
	return status
}

var errPanicked = errors.New("echomw: the handler panicked")

// settle runs the next handler and gives back what the request took if it does not count,
// also when the handler panics.
func (g *gate) settle(c echo.Context, next echo.HandlerFunc, t turn) error {
	err := errPanicked
	defer func() {
		if !g.counts(c, err) {
			g.refund(c, t)
		}
	}()
	err = next(c)
	return err
}

func (g *gate) counts(c echo.Context, err error) bool {
	if g.CountIf != nil {
		return g.CountIf(c, err)
	}
	// A client that went away did not get what it asked for.
	failed := ResponseStatus(c, err) >= http.StatusBadRequest || err == errPanicked || c.Request().Context().Err() != nil //nolint:errorlint // nobody wraps it
	return failed != g.SkipFailed
}

// refund gives back what a turn took. The client may have gone away and its context ended,
// which is no reason to keep it; the store has a timeout of its own.
func (g *gate) refund(c echo.Context, t turn) {
	err := g.Limiter.Refund(context.WithoutCancel(c.Request().Context()), t.key, t.decision)
	g.refunds.report(g.logger(), err, "echomw: what requests took cannot be given back, so they count although they should not")
}

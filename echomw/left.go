package echomw

import (
	"context"
	"errors"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// StatusClientLeft is the default of [StatusCodes].Left, and what nginx logs for a client
// that closed its connection before it was answered. No document defines it.
const StatusClientLeft = 499

// deciding is the context for a decision on a request with the context ctx: the deadline of
// the request bounds the decision, and its end does not. net/http ends the context when the
// client has left, but also when the client has only closed its side and waits for the
// answer. A decision that is given up then may have taken units that nobody gives back.
func deciding(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() == nil {
		return ctx, func() {}
	}
	deadline, has := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if !has {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}

// ofClientThatLeft returns the failure, with a status of its own if the context of the
// request ended what a function of the Config or the store did, because the client has left.
func (g *gate) ofClientThatLeft(c echo.Context, failure *echo.HTTPError) *echo.HTTPError {
	own := failure.Code == g.Status.NoKey || failure.Code == g.Status.Failed // and no other function's choice
	if !own || !errors.Is(failure, context.Canceled) || !errors.Is(c.Request().Context().Err(), context.Canceled) ||
		errors.Is(failure, slidingwindow.ErrStoreUnavailable) {
		return failure
	}
	return &echo.HTTPError{Code: g.Status.Left, Message: publicText("Client Closed Request"), Internal: failure.Internal}
}

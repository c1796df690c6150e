package httplimit

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// ErrPanicked is the error that Config.CountIf gets for a handler that panicked.
var ErrPanicked = errors.New("echomw: the handler panicked")

// settle runs the next handler and gives back what the request took if it does not count,
// also when the handler panics.
func (g *gate[C]) settle(c C, next func(C) error, r *record) error {
	t, err := *r.last(), ErrPanicked
	// Not the context of a request that further middleware puts into c: it may end when that
	// middleware returns.
	ctx := g.Request(c).Context()
	defer func() {
		if !g.counts(ctx, c, err) {
			g.refund(ctx, &t)
		}
	}()
	err = serve(g.Framework, c, next, r)
	return err
}

func (g *gate[C]) counts(ctx context.Context, c C, err error) bool {
	if g.CountIf != nil {
		return g.CountIf(c, err)
	}
	if d, ok := g.FromContext(c); ok && !d.Allowed {
		return false // a limiter further in refused it, and a refusal is never counted
	}
	failed := g.StatusAfter(c, err) >= http.StatusBadRequest
	committed := g.Committed(c)
	if broken := ctx.Err() != nil || err != nil && committed; broken && !failed {
		if committed {
			// It is not known whether the client got what it wanted, and the client decides what
			// this looks like: it can read an answer and hang up before its end, or close its side
			// and read on.
			return true
		}
		failed = true
	}
	return failed != g.SkipFailed
}

// refundTimeout bounds a refund, in addition to the store's own timeout.
const refundTimeout = 5 * time.Second

// refund gives back what a turn took, even if the client has left and its context has ended.
func (g *gate[C]) refund(ctx context.Context, t *turn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refundTimeout)
	defer cancel()
	if err := g.Limiter.Refund(ctx, t.key, t.decision); err != nil {
		g.refunds.warn(g.logger(), err, "echomw: what requests took cannot be given back, so they count although they should not")
	}
}

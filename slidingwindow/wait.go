package slidingwindow

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Reserve takes n units for key for the earliest time at which they fit, which may be now:
// Decision.Delay tells how long the caller must wait until it acts. It is one call of the
// store, as Allow is, and does not wait itself. Callers get their places in the order in which the store
// saw them, across processes, and nobody overtakes: an Allow is refused while others stand
// in line for what is left. [Limiter.Refund] gives a place back that is not used.
//
// The call is refused, and nothing taken, if its place would be later than maxWait or the deadline of
// ctx; RetryAfter then tells how far ahead it was. With a maxWait of 0 it is allowed now or
// not at all; below 0 it is [ErrInvalidWait]. Its other errors are those of AllowN. Unlike AllowN it does
// not return at once when ctx ends while the store decides, but when the store has
// decided, or after the store's timeout; the place is then given back.
//
// While the limiter is switched off or in shadow mode, or fails open, nobody waits: Delay is 0.
func (l *Limiter) Reserve(ctx context.Context, key string, n int64, maxWait time.Duration) (Decision, error) {
	if maxWait < 0 {
		return Decision{}, fmt.Errorf("%w: maxWait is %v; allowed: 0s or more", ErrInvalidWait, maxWait)
	}
	if err := l.checkUnits(n); err != nil {
		return Decision{}, err
	}
	if l.Mode() == ModeShadow {
		maxWait = 0
	}
	req := Request{Key: key, Limits: l.limits, Cost: n, Wait: true, MaxWait: min(maxWait, timeLeft(ctx))}
	d, err := l.take(ctx, req)
	if err == nil && d.Granted > 0 && hasEnded(ctx) {
		return Decision{}, l.leave(ctx, key, d)
	}
	return d, err
}

// Wait is shorthand for WaitN of one unit.
func (l *Limiter) Wait(ctx context.Context, key string) error { return l.WaitN(ctx, key, 1) }

// WaitN returns when n units for key are the caller's, which has then used them. It asks the store
// once for a place in line, as Reserve does, and sleeps until then: no polling, no goroutine.
//
// Give ctx a deadline to bound the wait. If the caller's place would be later, the error is
// [ErrWaitTooLong] (a [*WaitError]), at once, and nothing is taken. If ctx ends while the caller
// waits, its place is given back, also in Redis, and the error is that of ctx. n above the Max of a limit is
// [ErrCostExceedsLimit], and so is any n if Max is 0: no wait would ever help. The other errors are those of AllowN: in an outage
// the failure policy of the store decides, and nobody waits for its end.
func (l *Limiter) WaitN(ctx context.Context, key string, n int64) error {
	d, err := l.Reserve(ctx, key, n, math.MaxInt64)
	switch {
	case err != nil:
		return err
	case !d.Allowed:
		return waitRefused(ctx, d, n)
	case d.Delay == 0:
		return nil
	}
	if l.observer == nil {
		return l.sleep(ctx, key, d)
	}
	ended := l.observer.Waits(ctx, d.Limit)
	err = l.sleep(ctx, key, d)
	if ended != nil {
		ended(err)
	}
	return err
}

// sleep waits for the turn of a caller whose place is d, or gives it back.
func (l *Limiter) sleep(ctx context.Context, key string, d Decision) error {
	timer := time.NewTimer(d.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return l.leave(ctx, key, d)
	}
}

// waitRefused is the error of a wait for n units that was refused.
func waitRefused(ctx context.Context, d Decision, n int64) error {
	statuses := d.Statuses()
	if i := slices.IndexFunc(statuses, func(s Status) bool { return s.Limit.Max < n }); i >= 0 {
		limit := &statuses[i].Limit
		return fmt.Errorf("%w: %d units waited for of limit %q; allowed: at most its Max of %d", ErrCostExceedsLimit, n, limit.Name, limit.Max)
	}
	return &WaitError{Limit: d.Limit.Name, Place: d.RetryAfter, Allowed: timeLeft(ctx)}
}

// WaitError says by how much a wait would be too long. It matches [ErrWaitTooLong].
type WaitError struct {
	Limit   string        // the Name of the limit that makes the call wait
	Place   time.Duration // how long until the call would have its turn
	Allowed time.Duration // how long until ctx's deadline
}

// Error implements error.
func (e *WaitError) Error() string {
	return fmt.Sprintf("%v: limit %q makes the call wait for %v; allowed: %v, until the deadline of its context", ErrWaitTooLong, e.Limit, e.Place, e.Allowed)
}

// Is reports whether target is [ErrWaitTooLong].
func (e *WaitError) Is(target error) bool { return target == ErrWaitTooLong }

// timeLeft is how long ctx has until its deadline.
func timeLeft(ctx context.Context) time.Duration {
	deadline, has := ctx.Deadline()
	if !has {
		return math.MaxInt64
	}
	return max(0, time.Until(deadline))
}

// leave gives back the place of a caller whose ctx has ended, and returns the caller's error.
func (l *Limiter) leave(ctx context.Context, key string, d Decision) error {
	ended := ctx.Err()
	if ended == nil {
		ended = context.DeadlineExceeded // its timer is late
	}
	err := fmt.Errorf("slidingwindow: the caller's context ended before its turn: %w", ended)
	if cause := context.Cause(ctx); cause != nil && cause != ended { //nolint:errorlint // the same error need not be told twice
		err = fmt.Errorf("%w: %w", err, cause)
	}
	if failed := l.Refund(ctx, key, d); failed != nil {
		return fmt.Errorf("%w; its place was not given back and counts until it has left the window: %w", err, failed)
	}
	return err
}

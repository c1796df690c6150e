package slidingwindow

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Reserve takes n units for key for the earliest time at which they fit, which may be now. It does not
// wait: Decision.Delay tells the caller how long to wait before it acts. It is one call of the store, as
// Allow is. Callers get their places in the order in which the store saw them, across all processes.
// Nobody overtakes: an Allow is refused while others stand in line for what is left. Give a place that
// is not used back with [Limiter.Refund].
//
// If the place would be later than maxWait or than the deadline of ctx, the call is refused and takes
// nothing. RetryAfter then tells how far ahead the place would be. A maxWait of 0 means now or not at
// all. One below 0 is [ErrInvalidWait]. Its other errors are those of AllowN.
//
// If ctx ends while the store decides, Reserve returns when the store has decided, or after the store's
// timeout, and gives the place back. AllowN returns at once.
//
// If the limiter is off or in shadow mode, or the guard fails open, nobody waits: Delay is 0.
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

// WaitN takes n units for key and returns when the caller may use them. It asks the store once for a
// place in line, as Reserve does, and sleeps until then. It does not poll and starts no goroutine.
//
// Give ctx a deadline to bound the wait. If the place would be later, WaitN returns [ErrWaitTooLong] (a
// [*WaitError]) at once and takes nothing. If ctx ends during the wait, WaitN gives the place back and
// returns the error of ctx. An n above the Max of a limit is [ErrCostExceedsLimit], even if Max is 0: no
// wait would help. The other errors are those of AllowN. In an outage the failure policy of the store
// decides (package guard), and nobody waits for its end.
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

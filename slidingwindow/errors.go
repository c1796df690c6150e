package slidingwindow

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrInvalidLimit means that [New] was given a Limit out of range, or none, or
	// two of one name. See [LimitError].
	ErrInvalidLimit = errors.New("slidingwindow: invalid limit")

	// ErrInvalidConfig means that a constructor was given a setting out of range.
	ErrInvalidConfig = errors.New("slidingwindow: invalid configuration")

	// ErrInvalidKey means that a call was made with an empty key, or a refund or a settlement with
	// another key than the one that the units were taken from. It counts nothing: a caller
	// that cannot tell whom to limit must decide what to do.
	ErrInvalidKey = errors.New("slidingwindow: invalid key")

	// ErrDecisionChanged means that a Decision is not as its call returned it: its Granted is not
	// what the call took, or its text was cut, padded or changed. It comes from
	// [Limiter.Refund], [Limiter.Settle], [Decision.MarshalText] and [Decision.UnmarshalText].
	// Nothing was given back or taken.
	ErrDecisionChanged = errors.New("slidingwindow: decision changed")

	// ErrDecisionVersion means that [Decision.UnmarshalText] was given a text that another
	// version of this package wrote, in a form that this one cannot read. A process with that
	// version can.
	ErrDecisionVersion = errors.New("slidingwindow: decision of another version")

	// ErrForeignDecision means that [Limiter.Refund] or [Limiter.Settle] was given a Decision of
	// another store: of another Prefix, of the memory of another process, or of another kind of
	// store. See Decision.Store. Nothing was given back or taken.
	ErrForeignDecision = errors.New("slidingwindow: decision of another store")

	// ErrInvalidCost means that a call was made with less than one unit, or with a [Cost] that
	// has a negative one, names a limit that the Limiter does not have, or takes nothing.
	ErrInvalidCost = errors.New("slidingwindow: invalid cost")

	// ErrCostExceedsLimit means that a call asked for more units than
	// a limit's Max, which no wait would ever make fit.
	ErrCostExceedsLimit = errors.New("slidingwindow: cost exceeds limit")

	// ErrInvalidWait means that [Limiter.Reserve] was given a negative time to wait.
	ErrInvalidWait = errors.New("slidingwindow: invalid wait")

	// ErrWaitTooLong means that [Limiter.Wait] would have to wait for longer than ctx has time. Wait
	// returns it at once, and nothing was taken. See [WaitError].
	ErrWaitTooLong = errors.New("slidingwindow: wait too long")

	// ErrStoreUnavailable means that the store gave no decision in time: it could
	// not be reached, did not answer within its timeout, or refused to serve
	// (out of memory, read-only, loading). The cause is wrapped. The call may
	// still have been counted if the store got it but its answer was lost.
	ErrStoreUnavailable = errors.New("slidingwindow: store unavailable")

	// ErrCallRejected comes with an ErrStoreUnavailable that says nothing about other calls: Redis
	// answered, but did not run this command. The user lacks a permission for it or for the key
	// (NOPERM), Redis does not know it, the key is on another node (MOVED), its slot is being moved
	// (TRYAGAIN), or it had keys of several slots (CROSSSLOT). Unlike an outage it does not end by
	// waiting, except for TRYAGAIN. [ReplyError] tells which it is.
	ErrCallRejected = errors.New("slidingwindow: the store rejects this call")

	// ErrForeignData means that Redis holds something that is not a log under the key of a log, or
	// a log of another format, as versions before v0.1.0 wrote. Only calls for this key cannot be
	// decided. Delete it, wait until the log expires (two windows), call [Limiter.Reset], or choose
	// another [RedisConfig].Prefix.
	ErrForeignData = errors.New("slidingwindow: the key holds something that is not a log of this package")
)

// errEmptyKey matches ErrInvalidKey.
var errEmptyKey = fmt.Errorf("%w: it is empty; give each caller a key of its own", ErrInvalidKey)

// ContextEnded returns the error of a call that a [Store] gave up because the caller's ctx
// ended, or is about to end: a deadline may pass a moment before its context says so. The
// error wraps that of ctx, and its cause if it has another. It says nothing about the store.
func ContextEnded(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		err = context.DeadlineExceeded
	} else if cause := context.Cause(ctx); errors.Is(cause, err) {
		err = cause
	} else {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return fmt.Errorf("slidingwindow: the caller's context ended before the decision: %w", err)
}

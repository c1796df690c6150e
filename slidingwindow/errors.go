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

	// ErrInvalidKey means that a call was made with an empty key, or a refund with
	// another key than the one that the units were taken from. It counts nothing: a caller
	// that cannot tell whom to limit must decide what to do.
	ErrInvalidKey = errors.New("slidingwindow: invalid key")

	// ErrDecisionChanged means that [Limiter.Refund] was given a Decision whose Granted is not
	// what its call took. Nothing was given back.
	ErrDecisionChanged = errors.New("slidingwindow: decision changed")

	// ErrInvalidCost means that [Limiter.AllowN] was asked for less than one unit.
	ErrInvalidCost = errors.New("slidingwindow: invalid cost")

	// ErrCostExceedsLimit means that [Limiter.AllowN] was asked for more units than
	// a limit's Max, which no wait would ever make fit.
	ErrCostExceedsLimit = errors.New("slidingwindow: cost exceeds limit")

	// ErrStoreUnavailable means that the store gave no decision in time: it could
	// not be reached, did not answer within its timeout, or refused to serve
	// (out of memory, read-only, loading). The cause is wrapped. The call may
	// still have been counted if the store got it but its answer was lost.
	ErrStoreUnavailable = errors.New("slidingwindow: store unavailable")

	// ErrForeignData means that Redis holds something under the key of a log that
	// is not a log, so that only this key cannot be decided. Delete that key, call
	// [Limiter.Reset], or choose another [RedisConfig].Prefix.
	ErrForeignData = errors.New("slidingwindow: the key holds something that is not a log of this package")
)

// errEmptyKey matches ErrInvalidKey.
var errEmptyKey = fmt.Errorf("%w: it is empty; give each caller a key of its own", ErrInvalidKey)

// contextEnded is the error of a call whose own context ended, or is about to: that of
// ctx, and its cause if it has another. It says nothing about the store.
func contextEnded(ctx context.Context) error {
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

package slidingwindow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// bounded runs one call to Redis under the store's timeout and names its error.
func (s *RedisStore) bounded(ctx context.Context, call func(context.Context) error) error {
	if ctx.Err() != nil {
		return contextEnded(ctx)
	}
	// Not by the caller's context: one that ends would also end the connecting that other
	// callers wait for.
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	result := make(chan error, 1)
	go func() {
		defer cancel()
		result <- call(bound)
	}()
	select {
	case err := <-result:
		return s.failure(ctx, bound, err)
	case <-ctx.Done():
		return contextEnded(ctx)
	case <-bound.Done():
	}
	// It has just ended, or it waits, as rueidis does for another call's connecting,
	// whatever its own context says.
	select {
	case err := <-result:
		return s.failure(ctx, bound, err)
	default:
		return s.failure(ctx, bound, context.DeadlineExceeded)
	}
}

// failure names the error of a call to Redis that the caller's context and the store's
// timeout bounded.
func (s *RedisStore) failure(ctx, bound context.Context, err error) error {
	// rueidis gives up a little before the deadline when it knows that it cannot meet it.
	late := errors.Is(err, context.DeadlineExceeded)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, late && endsFirst(ctx, bound):
		return contextEnded(ctx)
	default:
		return s.commandFailure(err)
	}
}

// commandFailure names the error of a command that did not fail by a caller's context.
func (s *RedisStore) commandFailure(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return lateFailure(s.timeout, err)
	}
	return redisFailure(err)
}

func lateFailure(timeout time.Duration, err error) error {
	return fmt.Errorf("%w: no answer from redis within %v: %w", ErrStoreUnavailable, timeout, err)
}

func redisFailure(err error) error {
	if errors.Is(err, ErrStoreUnavailable) {
		return err
	}
	if reply := newReplyError(err); reply != nil {
		err = reply
	}
	if isForeignData(err) {
		return fmt.Errorf("%w: %w", ErrForeignData, err)
	}
	return fmt.Errorf("%w: redis: %w", ErrStoreUnavailable, err)
}

// endsFirst tells whether the caller's deadline, not the store's timeout, bounds the
// call.
func endsFirst(caller, bound context.Context) bool {
	callers, has := caller.Deadline()
	bounds, _ := bound.Deadline()
	return has && !callers.After(bounds)
}

// isForeignData tells whether Redis or the script found no log under the key. The
// errors carry a suffix that names the script, hence the prefixes.
func isForeignData(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "WRONGTYPE") || strings.HasPrefix(text, "FOREIGN")
}

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
		return ContextEnded(ctx)
	}
	deadline := s.deadline(ctx)
	if canLeave(ctx, &s.calls) {
		bound := newBound(ctx, deadline, &s.calls)
		defer bound.stop()
		return s.failure(ctx, call(bound))
	}
	result := make(chan error, 1)
	go func() {
		bound := newBound(context.Background(), deadline, &s.calls)
		defer bound.stop()
		result <- call(bound)
	}()
	patience := time.NewTimer(time.Until(deadline))
	defer patience.Stop()
	select {
	case err := <-result:
		return s.failure(ctx, err)
	case <-ctx.Done():
		return ContextEnded(ctx)
	case <-patience.C:
		return s.failure(ctx, context.DeadlineExceeded)
	}
}

// deadline is when a call that is made now ends, unless ctx says so itself.
func (s *RedisStore) deadline(ctx context.Context) time.Time {
	deadline := time.Now().Add(s.timeout)
	if callers, has := ctx.Deadline(); has && ctx.Done() == nil && callers.Before(deadline) {
		return callers
	}
	return deadline
}

// failure names the error of a call to Redis that the caller's context and the store's
// timeout bounded.
func (s *RedisStore) failure(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case hasEnded(ctx): // the first thing to tell the caller
		return ContextEnded(ctx)
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

// isForeignData tells whether Redis or the script found no log under the key. The
// errors carry a suffix that names the script, hence the prefixes.
func isForeignData(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "WRONGTYPE") || strings.HasPrefix(text, "FOREIGN")
}

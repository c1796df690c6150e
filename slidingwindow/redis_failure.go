package slidingwindow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const mostPooled = 4

// bounded makes one call to Redis under the store's timeout, and names its error. The call is
// told whether it has a connection of its own. A few at a time have: they are made in the
// caller's goroutine. Others share one, as many callers may peek or refund at the same time.
func (s *RedisStore) bounded(ctx context.Context, call func(ctx context.Context, pooled bool) error) error {
	if ctx.Err() != nil {
		return ContextEnded(ctx)
	}
	deadline := s.deadline(ctx)
	if canLeave(ctx, &s.calls) {
		if s.pooled.Add(1) <= mostPooled {
			defer s.pooled.Add(-1)
			bound := newBound(ctx, deadline, &s.calls)
			defer bound.stop()
			return s.failure(ctx, call(bound, true))
		}
		s.pooled.Add(-1)
	}
	return s.await(ctx, deadline, func(ctx context.Context) error { return call(ctx, false) })
}

// await makes a call in a goroutine of its own. It returns when that has ended, when ctx ends,
// or at the deadline; the call is not told that ctx has ended.
func (s *RedisStore) await(ctx context.Context, deadline time.Time, call func(context.Context) error) error {
	w := waiters.Get().(*waiter)
	go func() {
		bound := newBound(context.Background(), deadline, nil)
		defer bound.stop()
		w.result <- call(bound)
	}()
	w.patience.Reset(time.Until(deadline))
	select {
	case err := <-w.result:
		w.patience.Stop()
		waiters.Put(w) // nobody else knows it any more
		return s.failure(ctx, err)
	case <-ctx.Done():
		w.patience.Stop()
		return ContextEnded(ctx)
	case <-w.patience.C:
		return s.failure(ctx, context.DeadlineExceeded)
	}
}

// waiter is what one waits with for a call that another goroutine makes.
type waiter struct {
	result   chan error // has room for one
	patience *time.Timer
}

var waiters = sync.Pool{New: func() any { return &waiter{make(chan error, 1), stoppedTimer()} }}

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

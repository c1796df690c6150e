package slidingwindow

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/internal/interrupt"
)

// boundContext is a context with a deadline. It makes a timer only when something waits for its
// end: rueidis bounds a command in the caller's goroutine by the deadline alone. stop must be
// called after the call.
type boundContext struct {
	context.Context // may end earlier than the deadline
	deadline        time.Time
	calls           *interrupt.Registry
	returned        func() // nil if the command does not end with the context

	once  sync.Once
	timed atomic.Pointer[timedContext] // what has a timer; nil while there is none
}

// canLeave reports whether a command in its caller's goroutine ends when ctx does.
func canLeave(ctx context.Context, calls *interrupt.Registry) bool {
	return ctx.Done() == nil || calls.Works()
}

// newBound returns the context of a command that ends with ctx, if it can, and at the deadline.
func newBound(ctx context.Context, deadline time.Time, calls *interrupt.Registry) *boundContext {
	c := &boundContext{Context: ctx, deadline: deadline, calls: calls}
	if ctx.Done() != nil {
		c.deadline = calls.Unique(deadline)
		c.returned = calls.Follow(ctx, c.deadline)
	}
	return c
}

type timedContext struct {
	context.Context
	cancel context.CancelFunc
}

// Deadline implements [context.Context].
func (c *boundContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Err implements [context.Context].
func (c *boundContext) Err() error {
	if timed := c.timed.Load(); timed != nil {
		return timed.Err()
	}
	if err := c.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Done implements [context.Context].
func (c *boundContext) Done() <-chan struct{} {
	c.once.Do(func() {
		ctx, cancel := context.WithDeadline(c.Context, c.deadline)
		c.timed.Store(&timedContext{ctx, cancel})
	})
	return c.timed.Load().Done()
}

// Value implements [context.Context]. The function that dials gets the store's commands by it.
func (c *boundContext) Value(key any) any {
	if key == (interrupt.Key{}) {
		return c.calls
	}
	return c.Context.Value(key)
}

// stop ends the timer, if there is one.
func (c *boundContext) stop() {
	if c.returned != nil {
		c.returned()
	}
	if timed := c.timed.Load(); timed != nil {
		timed.cancel()
	}
}

// waiter lets a goroutine wait for a value from another goroutine.
type waiter[T any] struct {
	told     chan T // has room for one
	patience *time.Timer
}

func newWaiter[T any]() waiter[T] {
	w := waiter[T]{make(chan T, 1), time.NewTimer(time.Hour)}
	w.patience.Stop()
	return w
}

// wait returns the value, or an error if ctx ends or the deadline passes first.
func (w *waiter[T]) wait(ctx context.Context, deadline time.Time) (told T, ended error) {
	w.patience.Reset(time.Until(deadline))
	select {
	case told = <-w.told:
	case <-ctx.Done():
		ended = ctx.Err()
	case <-w.patience.C:
		ended = context.DeadlineExceeded
	}
	w.patience.Stop()
	return told, ended
}

// hasEnded reports whether ctx has ended. A deadline that has passed counts, even if its timer is
// late.
func hasEnded(ctx context.Context) bool {
	deadline, has := ctx.Deadline()
	return ctx.Err() != nil || has && !time.Now().Before(deadline)
}

package slidingwindow

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// boundContext is a context with a deadline that makes no timer before something waits for its
// end. A command that rueidis sends in its caller's goroutine is bounded by the deadline alone.
// stop must be called after the call.
type boundContext struct {
	context.Context // what it carries
	deadline        time.Time

	once  sync.Once
	timed atomic.Pointer[timedContext] // what has a timer; nil while there is none
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

// stop ends the timer, if there is one.
func (c *boundContext) stop() {
	if timed := c.timed.Load(); timed != nil {
		timed.cancel()
	}
}

package slidingwindow

import (
	"context"
	"sync"
	"time"
)

// lazyTimeout is context.WithTimeout for calls that hardly ever wait: it makes no
// timer before something asks for its end. stop must be called after the call.
type lazyTimeout struct {
	context.Context // the caller's
	timeout         time.Duration

	once   sync.Once
	bound  context.Context
	cancel context.CancelFunc
}

func (c *lazyTimeout) start() context.Context {
	c.once.Do(func() {
		c.bound, c.cancel = context.WithTimeout(c.Context, c.timeout)
	})
	return c.bound
}

func (c *lazyTimeout) stop() {
	c.once.Do(func() { c.bound = c.Context })
	if c.cancel != nil {
		c.cancel()
	}
}

// Deadline implements [context.Context].
func (c *lazyTimeout) Deadline() (time.Time, bool) { return c.start().Deadline() }

// Done implements [context.Context].
func (c *lazyTimeout) Done() <-chan struct{} { return c.start().Done() }

// Err implements [context.Context].
func (c *lazyTimeout) Err() error { return c.start().Err() }

package slidingwindow

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// group joins the calls of one process that are made at the same time into batches, as
// databases commit transactions in groups. While batches are under way the next one gathers.
// Nothing ever waits for a timer, and a lone caller for nobody: but before a batch is closed,
// the goroutines that are ready to run have their turn. They are those that the last reply
// woke, whose next calls would else be just too late, and each command costs Redis and the
// client more than the calls in it.
type group struct {
	limits  groupLimits
	send    func(ctx context.Context, calls []*call) // decides them, and ends each with finish
	timeout time.Duration

	mu        sync.Mutex
	flying    int     // goroutines that send
	gathering int     // those of them that will take the calls that wait
	lone      int     // calls under way that must not share a command
	waiting   []*call // for the next batch, in the order of their arrival
	closed    bool
	idle      sync.Cond // when nothing is under way and nothing waits
}

// groupLimits bound what is under way. The figures were found by measurement; see
// internal/benchmark.
type groupLimits struct {
	batches int
	size    int // calls in a batch
}

func newGroup(limits groupLimits, timeout time.Duration, send func(context.Context, []*call)) *group {
	g := &group{limits: limits, timeout: timeout, send: send}
	g.idle.L = &g.mu
	return g
}

var errClosed = fmt.Errorf("%w: the store is closed", ErrStoreUnavailable)

// do decides a call. It returns when the call is decided, or when ctx ends or the timeout has
// passed: a call that was not sent by then never is.
//
// The call, from newCall, is the group's from then on.
//
// What is sent goes by a context of its own: one that ends would also end the connecting
// that other callers wait for.
//
// alone keeps other calls out of its command.
func (g *group) do(ctx context.Context, c *call, timeout time.Duration, alone bool) (Decision, error) {
	g.mu.Lock()
	switch {
	case g.closed:
		g.mu.Unlock()
		return Decision{}, errClosed
	case ctx.Err() != nil:
		g.mu.Unlock()
		return Decision{}, ContextEnded(ctx)
	case alone:
		g.lone++
		go g.flyAlone(c)
	default:
		g.waiting = append(g.waiting, c)
		g.next()
	}
	g.mu.Unlock()

	c.patience.Reset(timeout)
	var err error
	select {
	case <-c.done:
		c.patience.Stop()
		d := c.decision
		err = c.err
		c.release()
		if err == nil {
			return d, nil
		}
	case <-ctx.Done():
		c.patience.Stop()
		g.withdraw(c)
	case <-c.patience.C:
		g.withdraw(c)
		err = lateFailure(g.timeout, context.DeadlineExceeded)
	}
	if hasEnded(ctx) { // which is the first thing to tell the caller
		err = ContextEnded(ctx)
	}
	return Decision{}, err
}

// hasEnded tells whether ctx has ended, or its timer is only late to say so.
func hasEnded(ctx context.Context) bool {
	deadline, has := ctx.Deadline()
	return ctx.Err() != nil || has && !time.Now().Before(deadline)
}

// next sees to it that the calls that wait are sent, as soon as one more batch may be under
// way. mu is held.
func (g *group) next() {
	switch {
	case len(g.waiting) > 0 && g.gathering == 0 && g.flying < g.limits.batches:
		g.flying++
		g.gathering++
		go g.fly()
	case len(g.waiting) == 0 && g.flying == 0 && g.lone == 0:
		g.idle.Broadcast()
	}
}

// flyAlone sends one call.
func (g *group) flyAlone(c *call) {
	g.dispatch([]*call{c})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lone--
	g.next()
}

func (g *group) dispatch(calls []*call) {
	ctx, cancel := context.WithTimeout(context.Background(), g.timeout)
	defer cancel()
	g.send(ctx, calls)
}

// fly sends batch after batch, until nothing waits.
func (g *group) fly() {
	for {
		runtime.Gosched()
		g.mu.Lock()
		calls := g.gather()
		g.gathering--
		if len(calls) == 0 {
			g.flying--
			g.next()
			g.mu.Unlock()
			return
		}
		g.next() // if there were too many for one batch
		g.mu.Unlock()
		g.dispatch(calls)
		g.mu.Lock()
		g.gathering++
		g.mu.Unlock()
	}
}

// gather takes the next batch from those who wait, and forgets who has left. mu is held.
func (g *group) gather() []*call {
	var calls []*call
	taken := 0
	for ; taken < len(g.waiting) && len(calls) < g.limits.size; taken++ {
		if c := g.waiting[taken]; !c.left {
			calls = append(calls, c)
		}
	}
	if g.waiting = g.waiting[taken:]; len(g.waiting) == 0 {
		g.waiting = nil
	}
	return calls
}

// withdraw keeps a call from being sent, if it was not yet.
func (g *group) withdraw(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.left = true
}

// close waits until all calls that were made have ended, and refuses later ones.
func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for len(g.waiting) > 0 || g.flying > 0 || g.lone > 0 {
		g.idle.Wait()
	}
}

// finish tells the caller that the call is decided. It must be the last that is done with it.
func (c *call) finish() { c.done <- struct{}{} }

package slidingwindow

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/internal/interrupt"
)

// group joins the calls of one process that are made at the same time into batches, as
// databases commit transactions in groups. It has no goroutine of its own: the first call of a
// batch leads it. The leader sends the batch, ends the calls in it, and names the first of
// those that came meanwhile to lead the next batch. So a lone call is sent and answered in its
// caller's goroutine.
//
// Nothing waits for a timer. But where calls share commands, the goroutines that are ready to
// run have their turn before a batch is closed: they are those that the last reply woke. Their
// next calls would come just too late, and each command costs Redis and the client more than
// the calls in it.
type group struct {
	limits  groupLimits
	send    func(ctx context.Context, calls []*call) // decides them, and ends each with finish
	timeout time.Duration
	calls   *interrupt.Registry

	mu        sync.Mutex
	flying    int     // batches that are led, sent or not
	gathering bool    // a leader has not closed its batch yet
	shared    bool    // the last batch was of several calls
	waiting   []*call // for the next batch, in the order of their arrival
	closed    bool
	idle      sync.Cond // when nothing is under way and nothing waits
	trip      roundTrip
}

// groupLimits bound what is under way.
type groupLimits struct {
	batches int // 0: as the network demands, see batchesFor
	size    int // calls in a batch
}

func newGroup(limits groupLimits, timeout time.Duration, calls *interrupt.Registry, send func(context.Context, []*call)) *group {
	g := &group{limits: limits, timeout: timeout, calls: calls, send: send}
	g.idle.L = &g.mu
	return g
}

var errClosed = fmt.Errorf("%w: the store is closed", ErrStoreUnavailable)

// do decides c, which it takes over. It returns when c is decided, when ctx ends, or at the
// deadline. A call that was not sent by then never is.
func (g *group) do(ctx context.Context, c *call, deadline time.Time) (Decision, error) {
	g.mu.Lock()
	switch {
	case g.closed:
		g.mu.Unlock()
		return Decision{}, errClosed
	case ctx.Err() != nil:
		g.mu.Unlock()
		return Decision{}, ContextEnded(ctx)
	}
	g.waiting = append(g.waiting, c)
	leader := g.leader()
	g.mu.Unlock()
	if leader == c {
		return g.lead(ctx, c, deadline)
	}
	if leader != nil {
		leader.turns <- leads
	}
	return g.await(ctx, c, deadline)
}

// leader names the first call that waits to lead a batch, if one more may be under way; else
// it returns nil. mu is held.
func (g *group) leader() *call {
	for len(g.waiting) > 0 && g.waiting[0].left {
		g.dropFirst(1)
	}
	if len(g.waiting) == 0 || g.gathering || g.flying >= g.limits.batchesFor(g.trip.fastest()) {
		return nil
	}
	g.flying++
	g.gathering = true
	g.waiting[0].leading = true
	return g.waiting[0]
}

// await waits until c is decided, or leads.
func (g *group) await(ctx context.Context, c *call, deadline time.Time) (Decision, error) {
	c.patience.Reset(time.Until(deadline))
	select {
	case t := <-c.turns:
		c.patience.Stop()
		if t == leads {
			return g.lead(ctx, c, deadline)
		}
		return c.result(ctx)
	case <-ctx.Done():
		c.patience.Stop()
		g.leave(c)
		return Decision{}, ContextEnded(ctx)
	case <-c.patience.C:
		g.leave(c)
		if hasEnded(ctx) { // the first thing to tell the caller
			return Decision{}, ContextEnded(ctx)
		}
		return Decision{}, lateFailure(g.timeout, context.DeadlineExceeded)
	}
}

// lead closes a batch, with c in it, and sends it. It does so in this goroutine if that
// returns in time for c, and if c may wait for it: others may have more time than c, and must
// not be cut short when ctx ends.
func (g *group) lead(ctx context.Context, c *call, deadline time.Time) (Decision, error) {
	g.mu.Lock()
	c.leading = false
	if g.shared || len(g.waiting) > 1 {
		g.mu.Unlock()
		runtime.Gosched()
		g.mu.Lock()
	}
	ended := ctx.Err() != nil
	if ended {
		c.left = true // it leads the others, and takes nothing itself
	}
	calls := g.gather()
	g.shared = len(calls) > 1
	g.gathering = false
	g.appoint() // if there were too many for one batch
	g.mu.Unlock()

	full := time.Now().Add(g.timeout)
	if ended {
		go g.fly(context.Background(), calls, full)
		return Decision{}, ContextEnded(ctx)
	}
	switch alone := len(calls) == 1; {
	case alone && canLeave(ctx, g.calls):
		g.fly(ctx, calls, deadline)
	case !alone && ctx.Done() == nil && full.Sub(deadline) <= g.timeout/2:
		g.fly(context.Background(), calls, deadline)
	default:
		go g.fly(context.Background(), calls, full)
		return g.await(ctx, c, deadline)
	}
	<-c.turns
	return c.result(ctx)
}

// fly sends a batch, which ends with ctx.
func (g *group) fly(ctx context.Context, calls []*call, deadline time.Time) {
	began := time.Now()
	if len(calls) > 0 {
		bound := newBound(ctx, deadline, g.calls)
		g.send(bound, calls)
		bound.stop()
	}
	took := time.Since(began)

	g.mu.Lock()
	defer g.mu.Unlock()
	if len(calls) > 0 {
		g.trip.note(began, took, len(calls) == 1 && g.flying == 1)
	}
	g.flying--
	g.appoint()
}

// appoint tells the leader of the next batch, if there may be one. mu is held.
func (g *group) appoint() {
	if leader := g.leader(); leader != nil {
		leader.turns <- leads
	}
	if len(g.waiting) == 0 && g.flying == 0 {
		g.idle.Broadcast()
	}
}

// isIdle reports whether nothing is under way and nothing waits.
func (g *group) isIdle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting) == 0 && g.flying == 0
}

// gather takes the next batch from the calls that wait, and forgets those that left. mu is
// held.
func (g *group) gather() []*call {
	var calls []*call
	taken := 0
	for ; taken < len(g.waiting) && len(calls) < g.limits.size; taken++ {
		if c := g.waiting[taken]; !c.left {
			calls = append(calls, c)
		}
	}
	g.dropFirst(taken)
	return calls
}

func (g *group) dropFirst(n int) {
	if g.waiting = g.waiting[n:]; len(g.waiting) == 0 {
		g.waiting = nil
	}
}

// leave keeps a call from being sent, if it was not yet, and lets another lead in its place.
func (g *group) leave(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c.left = true
	if c.leading {
		c.leading = false
		g.flying--
		g.gathering = false
		g.appoint()
	}
}

// close waits until all calls that were made have ended, and refuses later ones.
func (g *group) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for len(g.waiting) > 0 || g.flying > 0 {
		g.idle.Wait()
	}
}

// hasEnded reports whether ctx has ended, or its timer is only late to say so.
func hasEnded(ctx context.Context) bool {
	deadline, has := ctx.Deadline()
	return ctx.Err() != nil || has && !time.Now().Before(deadline)
}

package slidingwindow

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/internal/interrupt"
)

// group joins the calls of one process that are made at the same time into batches, as
// databases commit transactions in groups. It has no goroutine of its own: the first call of a
// batch leads it. The leader sends the batch, tells the calls in it, and makes the first call that
// came meanwhile the leader of the next batch. So a lone call is sent and answered in its caller's
// goroutine.
//
// Nothing waits for a timer. But where calls share commands, a leader yields to other goroutines
// before it closes its batch. These are the callers that the last reply woke, and without that
// their next calls would come just too late. A command costs Redis and the client more than the
// calls in it.
type group struct {
	limits  groupLimits
	send    func(ctx context.Context, calls []*call) // decides them
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

var callPool = sync.Pool{New: func() any { return &call{waiter: newWaiter[turn]()} }}

func newCall(req *Request, node *node) *call {
	c := callPool.Get().(*call)
	c.ask(req)
	c.node = node
	return c
}

// result returns what the caller of a decided call gets, and puts the call back into the pool.
func (c *call) result(ctx context.Context) (Decision, error) {
	d, err := c.decision, c.err
	c.key, c.limits, c.costs, c.node, c.decision, c.err = "", nil, nil, nil, Decision{}, nil
	callPool.Put(c)
	if err != nil && hasEnded(ctx) { // the first thing to tell the caller
		return Decision{}, ContextEnded(ctx)
	}
	return d, err
}

var errClosed = fmt.Errorf("%w: the store is closed", ErrStoreUnavailable)

// do decides c, and owns it from then on. It returns when c is decided, when ctx ends, or at the
// deadline. A call that was not sent by then is never sent.
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
		leader.told <- leads
	}
	return g.await(ctx, c, deadline)
}

// leader makes the first waiting call the leader of a batch, and returns it. It returns nil if no
// call waits, or if no further batch may be under way. mu is held.
func (g *group) leader() *call {
	for len(g.waiting) > 0 && g.waiting[0].left {
		g.dropFirst(1)
	}
	if len(g.waiting) == 0 || g.gathering || g.flying >= g.limits.batchesFor(g.trip.fastest(), len(g.waiting)) {
		return nil
	}
	g.flying++
	g.gathering = true
	g.waiting[0].leading = true
	return g.waiting[0]
}

// await waits until c is decided, or leads.
func (g *group) await(ctx context.Context, c *call, deadline time.Time) (Decision, error) {
	t, ended := c.wait(ctx, deadline)
	switch {
	case ended != nil:
		g.leave(c)
		return Decision{}, failure(ctx, g.timeout, ended)
	case t == leads:
		return g.lead(ctx, c, deadline)
	default:
		return c.result(ctx)
	}
}

// lead closes a batch with c in it, and sends it. It sends in this goroutine only if c can still
// return in time, and if c does not cut other calls short: they may have more time than c.
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
		c.left = true // c leads the other calls, but takes nothing itself
	}
	calls := g.gather()
	g.shared = len(calls) > 1
	g.gathering = false
	g.appoint() // for calls that this batch had no room for
	g.mu.Unlock()

	full := time.Now().Add(g.timeout)
	if ended {
		go g.fly(context.Background(), calls, full, nil)
		return Decision{}, ContextEnded(ctx)
	}
	switch alone := len(calls) == 1; {
	case alone && canLeave(ctx, g.calls):
		g.fly(ctx, calls, deadline, c)
	case !alone && ctx.Done() == nil && full.Sub(deadline) <= g.timeout/2:
		g.fly(context.Background(), calls, deadline, c)
	default:
		go g.fly(context.Background(), calls, full, nil)
		return g.await(ctx, c, deadline)
	}
	return c.result(ctx)
}

// fly sends a batch, until ctx ends or the deadline passes, and tells the calls in it except own.
func (g *group) fly(ctx context.Context, calls []*call, deadline time.Time, own *call) {
	began := time.Now()
	if len(calls) > 0 {
		bound := newBound(ctx, deadline, g.calls)
		g.send(bound, calls)
		bound.stop()
	}
	took := time.Since(began)
	lone := len(calls) == 1
	for _, c := range calls {
		if c != own {
			c.told <- decided // do not use c after this: its caller puts it back into the pool
		}
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	if len(calls) > 0 {
		g.trip.note(began, took, lone && g.flying == 1)
	}
	g.flying--
	g.appoint()
}

// appoint tells the leader of the next batch, if there may be one. mu is held.
func (g *group) appoint() {
	if leader := g.leader(); leader != nil {
		leader.told <- leads
	}
	if len(g.waiting) == 0 && g.flying == 0 {
		g.idle.Broadcast()
	}
}

// gather takes the next batch from the calls that wait, and forgets those that left. mu is
// held.
func (g *group) gather() []*call {
	g.waiting = slices.DeleteFunc(g.waiting, func(c *call) bool { return c.left })
	n := min(len(g.waiting), g.limits.size)
	calls := g.waiting[:n:n]
	g.dropFirst(n)
	return calls
}

func (g *group) dropFirst(n int) {
	if g.waiting = g.waiting[n:]; len(g.waiting) == 0 {
		g.waiting = nil
	}
}

// leave keeps a call from being sent, if it was not sent yet. If it was to lead a batch, another
// call leads.
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

const (
	// A shorter round trip is time of Redis and of CPUs, not of the network. There one batch at a
	// time costs least: calls that are made meanwhile share the next one. For each perNearBatch
	// calls that wait, one more batch costs each of them little, and keeps Redis busy.
	nearby       = 100 * time.Microsecond
	perNearBatch = 16
	mostNear     = 4

	// A longer round trip has room for more batches. One batch for each perBatch of it keeps calls
	// from waiting long for the batches of others, and still lets calls share a batch.
	perBatch = 250 * time.Microsecond

	// Each batch that is under way has a connection.
	mostBatches = 32

	// Old round trips are forgotten, because the network may change.
	tripMemory = time.Second
)

// batchesFor returns how many batches may be under way, for this round trip of the network and
// this number of waiting calls. To wait for a batch to return pays while Redis or a CPU is the
// bottleneck, because the next batch is then larger. It does not pay while the time goes to the
// network.
func (l groupLimits) batchesFor(trip time.Duration, waiting int) int {
	switch {
	case l.batches > 0:
		return l.batches
	case trip < nearby:
		return min(1+waiting/perNearBatch, mostNear)
	default:
		return min(2+int(trip/perBatch), mostBatches)
	}
}

// roundTrip remembers the fastest of some round trips. Those of lone calls measure the network.
// Others also wait for Redis and for CPUs, so they can only show that the network is faster.
type roundTrip struct {
	since        time.Time
	now, earlier time.Duration // the fastest since `since`, and in the period before it
}

// note adds a round trip.
func (r *roundTrip) note(began time.Time, took time.Duration, lone bool) {
	if lone && began.Sub(r.since) > tripMemory {
		r.since, r.earlier, r.now = began, r.now, took
	}
	if r.now == 0 || took < r.now { // the first trip counts even if it is not of a lone call
		r.now = took
	}
}

// fastest is 0 before the first round trip.
func (r *roundTrip) fastest() time.Duration {
	if r.earlier == 0 {
		return r.now
	}
	return min(r.now, r.earlier)
}

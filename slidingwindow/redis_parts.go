package slidingwindow

import (
	"context"
	"errors"
	"sync"
	"time"
)

// parts has a group for each node of a Cluster: a node that is away does not hold up calls for the
// others.
type parts struct {
	*link
	limits groupLimits
	group  *group // for all calls; in a Cluster only for calls whose node is not known

	mu     sync.Mutex
	byNode map[string]*group // for each name that a node ever had
	closed bool
}

func newParts(l *link, limits groupLimits) *parts {
	p := &parts{link: l, limits: limits, byNode: map[string]*group{}}
	p.group = p.newGroup()
	return p
}

func (p *parts) newGroup() *group {
	send := p.decide
	if p.onBatch != nil {
		send = func(ctx context.Context, calls []*call) {
			p.onBatch(len(calls))
			p.decide(ctx, calls)
		}
	}
	return newGroup(p.limits, p.timeout, &p.calls, send)
}

// of returns the group of a node's calls.
func (p *parts) of(n *node) *group {
	if n == nil {
		return p.group
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.byNode[n.name]
	if g == nil {
		g = p.newGroup()
		if g.closed = p.closed; !p.closed {
			p.byNode[n.name] = g
		}
	}
	return g
}

// The first and the last wait before a call is tried again while the logs of its key move to
// another node: each log moves by a command of its own.
const (
	firstTryAgain = time.Millisecond
	lastTryAgain  = 16 * time.Millisecond
)

// take decides a call together with those that are made at the same time.
func (p *parts) take(ctx context.Context, req *Request, deadline time.Time) (Decision, error) {
	for wait := firstTryAgain; ; wait *= 2 {
		var n *node
		if p.slots != nil {
			n = p.slots.nodeOf(req.Key)
		}
		d, err := p.of(n).do(ctx, newCall(req, n), deadline)
		if err == nil {
			return d, nil
		}
		if p.slots != nil {
			p.slots.changed()
		}
		// A call that is tried again was not counted.
		if apart := errors.Is(err, errApart); !apart && !isTryAgain(err) || wait > lastTryAgain {
			return d, err
		} else if apart {
			continue
		}
		select {
		case <-ctx.Done():
			return d, ContextEnded(ctx)
		case <-time.After(min(wait, time.Until(deadline))):
		}
	}
}

// close waits for the calls that are under way, and refuses later ones.
func (p *parts) close() {
	p.group.close()
	if p.slots != nil {
		p.slots.close()
	}
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, g := range p.byNode { // nobody adds one any more
		g.close()
	}
}

package slidingwindow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	// The first calls in a Cluster wait at most this long for the table of the slots.
	slotsPatience = 50 * time.Millisecond

	fewAtATime = 8
)

// decide decides calls that were made at the same time, in as few commands as possible. In a
// Cluster they are for one node, or for nodes that were not known when the calls came.
func (l *link) decide(ctx context.Context, calls []*call) {
	switch last := calls[len(calls)-1]; {
	case l.slots == nil:
		l.decideAt(ctx, l.client, calls)
	case last.node != nil:
		l.decideAt(ctx, last.node.client, calls)
	default:
		l.decideAnywhere(ctx, calls)
	}
}

// decideAnywhere decides calls for any node. It first waits for the table of the slots, so that the
// first calls of a program share round trips, too. Calls that are not in the table are sent one by
// one, a few at a time.
func (l *link) decideAnywhere(ctx context.Context, calls []*call) {
	l.slots.wait(ctx, slotsPatience)
	byNode := map[*node][]*call{}
	for _, c := range calls {
		n := l.slots.nodeOf(c.key)
		byNode[n] = append(byNode[n], c)
	}
	var all sync.WaitGroup
	few := make(chan struct{}, fewAtATime)
	for n, calls := range byNode {
		if n != nil {
			all.Go(func() { l.decideAt(ctx, n.client, calls) })
			continue
		}
		for i := range calls {
			few <- struct{}{}
			all.Go(func() {
				l.decideAt(ctx, l.client, calls[i:i+1])
				<-few
			})
		}
	}
	all.Wait()
}

// errApart means that calls were not decided because Redis does not accept their keys in one
// command. They must be made again: from now on each key has a command of its own.
var errApart = fmt.Errorf("%w: redis refused several keys in one command", ErrStoreUnavailable)

// decideAt decides calls in one round trip to a server.
func (l *link) decideAt(ctx context.Context, node rueidis.Client, calls []*call) {
	batches := l.split(calls)
	l.ask(ctx, node, true, l.take, batches)
	for _, b := range batches {
		if b.err == nil {
			continue
		}
		if errors.Is(b.err, context.DeadlineExceeded) {
			l.connect(node)
		}
		err := errApart
		if !l.apart(ctx, b.err, countKeys(b.calls)) {
			err = commandFailure(l.timeout, b.err)
		}
		for _, c := range b.calls {
			c.decision, c.err = Decision{}, err
		}
	}
}

// split makes one batch of all calls, or one for each key where keys must not share a command.
func (l *link) split(calls []*call) []*batch {
	if len(calls) == 1 || l.slots == nil && !l.sharing.oneKey.Load() {
		return []*batch{{calls: calls}}
	}
	return byKey(calls)
}

// byKey makes a batch of the calls of each key, in the order of their arrival.
func byKey(calls []*call) []*batch {
	batches := make([]*batch, 0, len(calls))
	at := make(map[string]int, len(calls))
	for i, c := range calls {
		if b, met := at[c.key]; met {
			batches[b].calls = append(batches[b].calls, c)
			continue
		}
		at[c.key] = len(batches)
		batches = append(batches, &batch{calls: calls[i : i+1 : i+1]})
	}
	return batches
}

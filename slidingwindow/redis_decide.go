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
	// So long the first calls of a Cluster wait for the table of the slots at most.
	slotsPatience = 50 * time.Millisecond

	fewAtATime = 8
)

// decide decides calls that were made at the same time, in as few commands as possible: in a Cluster
// those of one node, or calls whose node was not known when they came.
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

// decideAnywhere decides calls of any node. It waits for the table of the slots: so the first calls
// of a program share commands, too. What is not in the table goes by itself, a few at a time.
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

// errApart is of calls that were not decided because Redis does not take them in one command.
// They are to be made once more: others of their kind have a command each from now on.
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

// split makes one batch of all calls, or one of each key where keys must not share a command.
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

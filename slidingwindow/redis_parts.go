package slidingwindow

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

var _ Parted = (*RedisStore)(nil)

const (
	clusterSlots = 16384

	partsEvery = time.Second
	partsTries = 3 // nodes that are asked for the table, one after the other

	// So long the first calls wait for the table at most.
	partsPatience = 50 * time.Millisecond

	fewAtATime = 8
)

// Part implements [Parted]: the address of the node of a Cluster that serves the key's slot, ""
// with a single server. By slot instead of by node, each of thousands of slots would have to
// find out by its own timeouts that a node is away.
//
// The table of the slots is read in the background (CLUSTER SLOTS), when it is first needed,
// and again after a call has failed or was redirected, at most once a second. Until then the
// name is "".
func (s *RedisStore) Part(key string) string {
	if !s.cluster {
		return ""
	}
	if part := s.partOf(key); part != nil {
		return part.name
	}
	return ""
}

// partOf returns the node of a Cluster that serves the key, nil if that is not known.
func (s *RedisStore) partOf(key string) *part {
	table := s.parts.table.Load()
	if table == nil {
		s.readParts()
		return nil
	}
	number := table.bySlot[s.slotOf(key)]
	if table.parts[number] == nil {
		s.readParts()
	}
	return table.parts[number]
}

// slotOf is the slot of a Cluster that all logs of the key have.
func (s *RedisStore) slotOf(key string) int {
	command := s.client.B().Zcard().Key(redisKey(s.prefix, escapeKey(key), "")).Build()
	return int(command.Slot())
}

// part is one node of a Cluster.
type part struct {
	name  string
	node  atomic.Pointer[rueidis.Client]
	group *group // of the calls that it decides
}

// parts is what the store knows of the nodes of a Cluster. A table that is out of date does
// no harm while all goes well: it only says which calls fail together.
type parts struct {
	table atomic.Pointer[slotTable] // nil until it was asked for and read

	mu      sync.Mutex
	reading chan struct{} // closed when the reading under way has ended; nil if there is none
	began   time.Time     // of the last reading
	closed  bool
	readers sync.WaitGroup
	byName  map[string]*part // of the table, and those that still decide
}

type slotTable struct {
	names  []string // the first is "", of slots that no node serves
	parts  []*part  // by number, nil for the first
	bySlot [clusterSlots]uint16
}

// partsChanged tells that a call has failed, so that the table may be out of date.
func (s *RedisStore) partsChanged() {
	if s.parts.table.Load() != nil {
		s.readParts()
	}
}

// readParts reads the table in the background, unless that was done just now. The channel that it
// returns is closed when the reading under way has ended; it is nil if there is none.
func (s *RedisStore) readParts() <-chan struct{} {
	p := &s.parts
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.reading != nil || !p.began.IsZero() && time.Since(p.began) < partsEvery {
		return p.reading
	}
	ended := make(chan struct{})
	p.reading, p.began = ended, time.Now()
	p.readers.Go(func() {
		defer close(ended)
		table, _ := s.askForParts(context.Background()) // Check tells why there is none
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reading = nil
		if table != nil {
			s.useTable(table)
		}
	})
	return ended
}

// decideAnywhere decides calls whose nodes were not known when they came. It waits for the table,
// which is being read: so the first calls of a program share commands, too. Without a table each
// goes by itself, a few at a time.
func (s *RedisStore) decideAnywhere(ctx context.Context, calls []*call) {
	if s.parts.table.Load() == nil {
		if reading := s.readParts(); reading != nil { // else the last one has just failed
			select {
			case <-reading:
			case <-time.After(partsPatience):
			case <-ctx.Done():
			}
		}
	}
	byPart := map[*part][]*call{}
	for _, c := range calls {
		part := s.partOf(c.key)
		byPart[part] = append(byPart[part], c)
	}
	var all sync.WaitGroup
	few := make(chan struct{}, fewAtATime)
	for part, calls := range byPart {
		if part != nil {
			all.Go(func() { s.decide(ctx, *part.node.Load(), calls) })
			continue
		}
		for i := range calls {
			few <- struct{}{}
			all.Go(func() {
				s.decide(ctx, s.client, calls[i:i+1])
				<-few
			})
		}
	}
	all.Wait()
}

// useTable finds or makes the part of each name of a table, and has calls go by it. p.mu is held.
func (s *RedisStore) useTable(table *slotTable) {
	p := &s.parts
	nodes := s.client.Nodes()
	table.parts = make([]*part, len(table.names))
	for i, name := range table.names {
		node := nodes[name]
		if name == "" || node == nil {
			continue // the client does not know it yet, or by another name
		}
		known := p.byName[name]
		if known == nil {
			known = &part{name: name}
			known.group = newGroup(s.batches, s.timeout, &s.calls, s.decideBy(func() rueidis.Client { return *known.node.Load() }))
			p.byName[name] = known
		}
		known.node.Store(&node) // the client may have made another one for that name
		table.parts[i] = known
	}
	for name, known := range p.byName {
		if !slices.Contains(table.parts, known) && known.group.isIdle() {
			delete(p.byName, name)
		}
	}
	p.table.Store(table)
}

// close waits for who reads, keeps others from it, and closes the groups.
func (p *parts) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.readers.Wait()
	p.mu.Lock() // a Check may be under way
	known := slices.Collect(maps.Values(p.byName))
	p.mu.Unlock()
	for _, part := range known {
		part.group.close()
	}
}

// askForParts asks some nodes, any of which may be away.
func (s *RedisStore) askForParts(ctx context.Context) (*slotTable, error) {
	var errs []error
	for _, node := range s.client.Nodes() {
		if len(errs) == partsTries {
			break
		}
		bound, cancel := context.WithTimeout(ctx, s.timeout)
		reply, err := node.Do(bound, node.B().ClusterSlots().Build()).ToArray()
		cancel()
		if err == nil {
			var table *slotTable
			if table, err = newSlotTable(reply); err == nil {
				return table, nil
			}
		}
		errs = append(errs, redisFailure(err))
	}
	return nil, errors.Join(errs...)
}

// checkParts reads the table now, for Check. Without it each call of the Cluster goes by itself.
func (s *RedisStore) checkParts(ctx context.Context) error {
	table, err := s.askForParts(ctx)
	if err != nil {
		if hasEnded(ctx) { // the first thing to tell the caller
			return ContextEnded(ctx)
		}
		if v := s.verdictOf(ctx, "", err); v.denied {
			return lackingRights("", []string{"+cluster|slots"})
		}
		return err
	}
	s.parts.mu.Lock()
	defer s.parts.mu.Unlock()
	s.useTable(table)
	return nil
}

var errSlots = errors.New("slidingwindow: redis answered what CLUSTER SLOTS does not")

// newSlotTable reads a reply of CLUSTER SLOTS: for each range of slots the first and the last,
// and its nodes, the master first, each with its host, port and id.
func newSlotTable(reply []rueidis.RedisMessage) (*slotTable, error) {
	table := &slotTable{names: []string{""}}
	number := map[string]uint16{}
	for i := range reply {
		span, err := reply[i].ToArray()
		if err != nil || len(span) < 3 {
			return nil, errors.Join(errSlots, err)
		}
		first, firstErr := span[0].AsInt64()
		last, lastErr := span[1].AsInt64()
		node, nodeErr := span[2].ToArray()
		if err = errors.Join(firstErr, lastErr, nodeErr); err != nil || first < 0 || last >= clusterSlots || len(node) < 3 {
			return nil, errors.Join(errSlots, err)
		}
		name := nodeName(node)
		if number[name] == 0 {
			number[name] = uint16(len(table.names)) //nolint:gosec // there are no more of them than slots
			table.names = append(table.names, name)
		}
		for slot := first; slot <= last; slot++ {
			table.bySlot[slot] = number[name]
		}
	}
	return table, nil
}

// nodeName is the address of a node, or its id if the Cluster gives no host.
func nodeName(node []rueidis.RedisMessage) string {
	host, _ := node[0].ToString() // nil if the nodes do not know it
	port, _ := node[1].AsInt64()
	if host == "" {
		id, _ := node[2].ToString()
		return id
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}

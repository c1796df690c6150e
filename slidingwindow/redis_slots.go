package slidingwindow

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	clusterSlots = 16384

	slotsEvery = time.Second
	slotsTries = 3 // nodes that are asked for the table, one after the other
)

// slots knows which node of a Cluster serves which slot. The table is read in the background
// (CLUSTER SLOTS), when it is first needed, and again after a call has failed or was redirected, at
// most once a second. An outdated table does no harm while calls succeed: it only decides which
// calls share a batch, and which fail together.
type slots struct {
	client  rueidis.Client
	prefix  string
	timeout time.Duration

	table atomic.Pointer[slotTable] // nil until it was asked for and read

	mu      sync.Mutex
	reading chan struct{} // closed when the reading under way has ended; nil if there is none
	began   time.Time     // of the last reading
	closed  bool
	readers sync.WaitGroup
}

// node is one of a Cluster.
type node struct {
	name   string
	client rueidis.Client // nil if the client does not know it yet, or by another name
}

type slotTable struct {
	nodes  []*node // by number; the first is for slots that no node serves
	bySlot [clusterSlots]uint16
}

// nodeOf returns the node that serves the key, nil if that is not known.
func (s *slots) nodeOf(key string) *node {
	table := s.table.Load()
	if table == nil {
		s.read()
		return nil
	}
	n := table.nodes[table.bySlot[s.of(key)]]
	if n.client == nil {
		s.read()
		return nil
	}
	return n
}

// of returns the slot of all logs of the key.
func (s *slots) of(key string) int {
	command := s.client.B().Zcard().Key(redisKey(s.prefix, escapeKey(key), "")).Build()
	return int(command.Slot())
}

// changed tells that a call has failed or was redirected, so that the table may be out of date.
func (s *slots) changed() {
	if s.table.Load() != nil {
		s.read()
	}
}

// read reads the table in the background, unless that was done just now. The channel that it
// returns is closed when the reading under way has ended; it is nil if there is none.
func (s *slots) read() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.reading != nil || !s.began.IsZero() && time.Since(s.began) < slotsEvery {
		return s.reading
	}
	ended := make(chan struct{})
	s.reading, s.began = ended, time.Now()
	s.readers.Go(func() {
		defer close(ended)
		_ = s.ask(context.Background()) // Check tells why there is none
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reading = nil
	})
	return ended
}

// wait waits for the first table, at most this long, if it is being read.
func (s *slots) wait(ctx context.Context, most time.Duration) {
	if s.table.Load() != nil {
		return
	}
	if reading := s.read(); reading != nil { // else the last one has just failed
		select {
		case <-reading:
		case <-time.After(most):
		case <-ctx.Done():
		}
	}
}

// close waits for a reading that is under way, and prevents later ones.
func (s *slots) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.readers.Wait()
}

// ask asks up to slotsTries nodes for the table, because a node may be away.
func (s *slots) ask(ctx context.Context) error {
	var errs []error
	nodes := s.client.Nodes()
	for _, n := range nodes {
		if len(errs) == slotsTries {
			break
		}
		bound, cancel := context.WithTimeout(ctx, s.timeout)
		reply, err := n.Do(bound, n.B().ClusterSlots().Build()).ToArray()
		cancel()
		if err == nil {
			var table *slotTable
			if table, err = newSlotTable(reply, nodes); err == nil {
				s.table.Store(table)
				return nil
			}
		}
		errs = append(errs, redisFailure(err))
	}
	return errors.Join(errs...)
}

var errSlots = errors.New("slidingwindow: redis answered what CLUSTER SLOTS does not")

// newSlotTable reads a reply of CLUSTER SLOTS: for each range of slots the first and the last,
// and its nodes, the master first, each with its host, port and id.
func newSlotTable(reply []rueidis.RedisMessage, clients map[string]rueidis.Client) (*slotTable, error) {
	table := &slotTable{nodes: []*node{{}}}
	number := map[string]uint16{}
	for i := range reply {
		span, err := reply[i].ToArray()
		if err != nil || len(span) < 3 {
			return nil, errors.Join(errSlots, err)
		}
		first, firstErr := span[0].AsInt64()
		last, lastErr := span[1].AsInt64()
		master, nodeErr := span[2].ToArray()
		if err = errors.Join(firstErr, lastErr, nodeErr); err != nil || first < 0 || last >= clusterSlots || len(master) < 3 {
			return nil, errors.Join(errSlots, err)
		}
		name := nodeName(master)
		if number[name] == 0 {
			number[name] = uint16(len(table.nodes)) //nolint:gosec // there are no more of them than slots
			table.nodes = append(table.nodes, &node{name, clients[name]})
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

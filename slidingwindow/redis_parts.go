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

var _ Parted = (*RedisStore)(nil)

const (
	partsEvery = time.Second
	partsTries = 3 // nodes that are asked for the table, one after the other
)

// Part implements [Parted]: the address of the node of a Cluster that serves the key's slot, ""
// with a single server. By slot instead of by node, each of thousands of slots would have to
// find out by its own timeouts that a node is away.
//
// The table of the slots is read in the background (CLUSTER SLOTS), when Part is first called,
// and again after a call has failed, at most once a second. Until then the name is "".
func (s *RedisStore) Part(key string) string {
	if len(s.groups) == 1 {
		return ""
	}
	table := s.parts.table.Load()
	if table == nil {
		s.readParts()
		return ""
	}
	command := s.client.B().Zcard().Key(redisKey(s.prefix, escapeKey(key), "")).Build()
	return table.nodes[table.bySlot[command.Slot()]]
}

// parts is what the store knows of the nodes of a Cluster. A table that is out of date does
// no harm while all goes well: it only says which calls fail together.
type parts struct {
	table atomic.Pointer[slotTable] // nil until it was asked for and read

	mu      sync.Mutex
	reading bool
	began   time.Time // of the last reading
	closed  bool
	readers sync.WaitGroup
}

type slotTable struct {
	nodes  []string // the first is "", of slots that no node serves
	bySlot [clusterSlots]uint16
}

// partsChanged tells that a call has failed, so that the table may be out of date.
func (s *RedisStore) partsChanged() {
	if s.parts.table.Load() != nil {
		s.readParts()
	}
}

// readParts reads the table in the background, unless that was done just now.
func (s *RedisStore) readParts() {
	p := &s.parts
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.reading || !p.began.IsZero() && time.Since(p.began) < partsEvery {
		return
	}
	p.reading, p.began = true, time.Now()
	p.readers.Go(func() {
		if table := s.askForParts(); table != nil {
			p.table.Store(table)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.reading = false
	})
}

// close waits for who reads, and keeps others from it.
func (p *parts) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.readers.Wait()
}

// askForParts asks some nodes, any of which may be away. It returns nil if none answers.
func (s *RedisStore) askForParts() *slotTable {
	tries := 0
	for _, node := range s.client.Nodes() {
		if tries++; tries > partsTries {
			break
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
		reply, err := node.Do(ctx, node.B().ClusterSlots().Build()).ToArray()
		cancel()
		if err != nil {
			continue
		}
		if table, err := newSlotTable(reply); err == nil {
			return table
		}
	}
	return nil
}

var errSlots = errors.New("slidingwindow: redis answered what CLUSTER SLOTS does not")

// newSlotTable reads a reply of CLUSTER SLOTS: for each range of slots the first and the last,
// and its nodes, the master first, each with its host, port and id.
func newSlotTable(reply []rueidis.RedisMessage) (*slotTable, error) {
	table := &slotTable{nodes: []string{""}}
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
			number[name] = uint16(len(table.nodes)) //nolint:gosec // there are no more of them than slots
			table.nodes = append(table.nodes, name)
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

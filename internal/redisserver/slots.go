package redisserver

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// SlotMove is a slot on its way from one node of a cluster to another, as redis-cli
// --cluster reshard moves it, step by step. Until End the old node serves the
// keys that it still has, and sends callers on to the new one for all others by ASK. A
// command for several keys is told TRYAGAIN unless one node has all of them.
type SlotMove struct {
	slot     string
	from, to *Server
	toID     string
}

// BeginMove lets a slot move. No key is moved yet.
func (c *Cluster) BeginMove(ctx context.Context, slot uint16, to *Server) (*SlotMove, error) {
	m := &SlotMove{slot: strconv.Itoa(int(slot)), to: to}
	for _, node := range c.Nodes {
		owns, err := node.owns(ctx, slot)
		if err != nil {
			return nil, err
		}
		if owns {
			m.from = node
		}
	}
	if m.from == nil || m.from == to {
		return nil, fmt.Errorf("redisserver: slot %d is not on another node of the cluster", slot)
	}
	var err error
	if m.toID, err = to.Do(ctx, "cluster", "myid"); err != nil {
		return nil, err
	}
	fromID, err := m.from.Do(ctx, "cluster", "myid")
	if err != nil {
		return nil, err
	}
	if _, err := to.Do(ctx, "cluster", "setslot", m.slot, "importing", fromID); err != nil {
		return nil, err
	}
	_, err = m.from.Do(ctx, "cluster", "setslot", m.slot, "migrating", m.toID)
	return m, err
}

// From is the node that has had the slot.
func (m *SlotMove) From() *Server { return m.from }

// Keys moves up to n keys, and tells how many there were.
func (m *SlotMove) Keys(ctx context.Context, n int) (moved int, err error) {
	reply, err := m.from.Do(ctx, "cluster", "getkeysinslot", m.slot, strconv.Itoa(n))
	if err != nil || reply == "" {
		return 0, err
	}
	keys := strings.Split(reply, "\n")
	_, err = m.from.Do(ctx, append([]string{"migrate", "127.0.0.1", strconv.Itoa(m.to.port), "", "0", "5000", "keys"}, keys...)...)
	return len(keys), err
}

// End moves the keys that are left, and gives the slot to the new node.
func (m *SlotMove) End(ctx context.Context) error {
	for {
		moved, err := m.Keys(ctx, 100)
		if err != nil {
			return err
		}
		if moved == 0 {
			break
		}
	}
	// The new node first: a slot must not be without one. The others hear of it.
	for _, node := range []*Server{m.to, m.from} {
		if _, err := node.Do(ctx, "cluster", "setslot", m.slot, "node", m.toID); err != nil {
			return err
		}
	}
	return nil
}

// owns tells whether the slot is among those that the node gives as its own, such as
// "0-5460".
func (s *Server) owns(ctx context.Context, slot uint16) (bool, error) {
	reply, err := s.Do(ctx, "cluster", "nodes")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(reply) {
		fields := strings.Fields(line)
		if len(fields) < 8 || !strings.Contains(fields[2], "myself") {
			continue
		}
		for _, span := range fields[8:] {
			first, last, isRange := strings.Cut(span, "-")
			if !isRange {
				last = first
			}
			low, lowErr := strconv.Atoi(first)
			high, highErr := strconv.Atoi(last)
			if lowErr == nil && highErr == nil && low <= int(slot) && int(slot) <= high {
				return true, nil
			}
		}
	}
	return false, nil
}

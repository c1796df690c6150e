package config

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/rueidis"
)

// version is a major and a minor number.
type version [2]int

// Older servers cannot run a script read-only, or do not tell its errors apart.
var (
	lowestRedis  = version{7, 0}
	lowestValkey = version{7, 2}
)

// checkServers reports the nodes that are too old, and a cluster that cannot be used. A node
// that does not tell its version, because it is a proxy, or away, or INFO is not permitted,
// gets the benefit of the doubt.
func (m *monitor) checkServers(ctx context.Context, client rueidis.Client) error {
	if err := m.checkCluster(ctx, client); err != nil {
		return err
	}
	nodes := client.Nodes()
	addrs := slices.Sorted(maps.Keys(nodes))
	errs := make([]error, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			node := nodes[addr]
			// Not the builder's INFO, which would be retried until ctx ends.
			info, err := node.Do(ctx, node.B().Arbitrary("INFO", "server").Build()).ToString()
			if err != nil {
				m.logger.Debug("redis version unknown", "addr", addr, "error", m.server.reason(addr, err, 0))
				return
			}
			if given, unsupported := tooOld(infoFields(info)); unsupported {
				errs[i] = fmt.Errorf("redis at %s is version %s; allowed: Redis 7.0 or later, or Valkey 7.2 or later", addr, given)
			}
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// checkCluster reports a cluster without slots, and one that the client takes for a lone
// server, as it does with a node that does not tell its slots: calls for the keys of other
// nodes would fail.
func (m *monitor) checkCluster(ctx context.Context, client rueidis.Client) error {
	all := strings.Join(m.server.addrs, ", ")
	if client.Mode() == rueidis.ClientModeCluster {
		// A PING of the node that has the slot of this text; without one it is not sent.
		err := client.Do(ctx, client.B().Arbitrary("PING").Keys("slot").Build()).Error()
		if errors.Is(err, rueidis.ErrNoSlot) {
			m.outage = true // it may be in the making
			return fmt.Errorf("redis at %s is a cluster that has not given all of its slots to nodes: see redis-cli --cluster check", all)
		}
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, addr := range m.order {
		if m.nodes[addr].cluster {
			return fmt.Errorf("redis at %s is a node of a cluster, and the user may not ask for its slots; allowed: a user with the rights +cluster|slots and, for Redis or Valkey 8 and later, +cluster|shards", addr)
		}
	}
	return nil
}

// infoFields are the names and values in the reply to INFO.
func infoFields(info string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// tooOld returns the version that INFO gives if it is not supported.
func tooOld(fields map[string]string) (given string, unsupported bool) {
	lowest, given := lowestRedis, fields["redis_version"]
	// Valkey calls itself Redis 7.2.4 there, whatever it is.
	if valkey := fields["valkey_version"]; valkey != "" {
		lowest, given = lowestValkey, valkey
	}
	v, ok := parseVersion(given)
	return given, ok && slices.Compare(v[:], lowest[:]) < 0
}

func parseVersion(text string) (v version, ok bool) {
	parts := strings.SplitN(text, ".", 3)
	if len(parts) < len(v) {
		return v, false
	}
	for i := range v {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return v, false
		}
		v[i] = n
	}
	return v, true
}

package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

var (
	errRequired = errors.New("REDIS_URL is required: set it to redis://localhost:6379, or memory:// to limit within this process only")
	errInMemory = errors.New("REDIS_URL is memory://, so there is no redis to connect to: use memory.New")
)

// Connect returns a client that is connected to Redis. It checks that the server is Redis 7.0,
// Valkey 7.2 or later. One client is enough for a program: share it, and Close it after the last
// call. The client connects again by itself when it loses a connection.
//
// Connect waits until ctx ends at most. It also waits at most the dial timeout (5s, or
// dial_timeout of the URL) for each address of the URL, and the same time once more for the node
// that a cluster or a sentinel names. The error says which address failed and why. It wraps the
// cause, so errors.Is(err, syscall.ECONNREFUSED) works, and so does errors.Is with the error and the
// cause of ctx. It does not wrap the reply of a server, which may quote the login; this package
// tells it in its own words. A certificate or a key that cannot be read is an error before Connect
// dials. With memory:// Connect always fails; see [Redis.InMemory].
//
// r.Logger gets these records for each address: "redis connected" at Info for its first connection;
// "redis connection failed" at Warn when a connection cannot be made or breaks, once until one works
// again; "redis reconnected" at Info when it works again; "redis refuses, connecting again" at
// Warn, at most once a minute, for a server that may be the wrong one, see package redisconn.
func (r Redis) Connect(ctx context.Context) (rueidis.Client, error) {
	if r.URL.open == nil {
		return nil, errRequired
	}
	if r.InMemory() {
		return nil, errInMemory
	}
	m := newMonitor(r.server(), r.logger())
	return m.connect(ctx)
}

func (r Redis) logger() *slog.Logger {
	if r.Logger == nil {
		return slog.Default()
	}
	return r.Logger
}

// connect does what [Redis.Connect] does. The monitor serves this connection only.
func (m *monitor) connect(ctx context.Context) (rueidis.Client, error) {
	if err := m.server.checkFiles(); err != nil {
		return nil, err
	}
	bound := time.Duration(len(m.server.addrs)+1) * m.server.timeout()
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()

	client, err := m.newClient(bounded)
	if err != nil {
		m.end()
		m.outage = m.isOutage(err)
		return nil, m.explain(ctx, err, bound)
	}
	if err = m.checkServers(bounded, client); err == nil && ctx.Err() != nil {
		err = m.explain(ctx, ctx.Err(), bound)
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// newClient makes a client, or returns when ctx ends. rueidis.NewClient does not return before it has
// tried every address.
func (m *monitor) newClient(ctx context.Context) (rueidis.Client, error) {
	type result struct {
		client rueidis.Client
		err    error
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	option := m.server.option()
	option.DialCtxFn = m.dial
	made := make(chan result, 1)
	go func() {
		client, err := rueidis.NewClient(option)
		made <- result{client, err}
	}()
	select {
	case r := <-made:
		return r.client, r.err
	case <-ctx.Done():
		m.end()
		go func() {
			if r := <-made; r.client != nil {
				r.client.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// version is a major and a minor number.
type version [2]int

// Older servers cannot run a script read-only, or do not distinguish its errors.
var (
	lowestRedis  = version{7, 0}
	lowestValkey = version{7, 2}
)

// checkServers reports the nodes that are too old, and a cluster that cannot be used. It accepts a
// node that does not tell its version: the node may be a proxy or away, or INFO may not be permitted.
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

// checkCluster reports a cluster without slots, and a node that the client uses as a single server
// because the node does not tell its slots. Calls for the keys of other nodes would fail.
func (m *monitor) checkCluster(ctx context.Context, client rueidis.Client) error {
	all := strings.Join(m.server.addrs, ", ")
	if client.Mode() == rueidis.ClientModeCluster {
		// A PING of the node that has the slot of this text; without one it is not sent.
		err := client.Do(ctx, client.B().Arbitrary("PING").Keys("slot").Build()).Error()
		if errors.Is(err, rueidis.ErrNoSlot) {
			m.outage = true // somebody may be creating it
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

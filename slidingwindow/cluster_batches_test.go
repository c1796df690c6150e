package slidingwindow_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// A Cluster takes seconds to start, so these share one.
func TestACallOfAClusterTakesLittle(t *testing.T) {
	t.Parallel()
	cluster := startCluster(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *redisserver.Cluster)
	}{
		{"the first calls share commands", firstCallsShareCommands},
		{"a batch waits for the table of the slots", aBatchWaitsForTheTable},
		{"a batch needs one EVAL", aBatchNeedsOneEval},
		{"calls that were MOVED need few connections", movedCallsNeedFewConnections},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, cluster) })
	}
}

// The first calls do not know the nodes of the Cluster yet, which takes a round trip.
func firstCallsShareCommands(t *testing.T, cluster *redisserver.Cluster) {
	detours := map[string]string{}
	for _, addr := range cluster.Addrs() {
		detours[addr] = startFar(t, addr, 2*time.Millisecond)
	}
	store, wire := wiredBy(t, &wire{detours: detours}, cluster.Addrs()[0], slidingwindow.RedisConfig{Timeout: patient, BatchesInFlight: 2})
	l := newLimiter(t, store, slidingwindow.PerHour(much))
	const keys = 10
	dialed := wire.dialed()
	require.Empty(t, together(crowd, func(i int) error {
		_, err := l.Allow(context.Background(), fmt.Sprint("cold", i%keys))
		return err
	}))
	commands := 0
	for _, node := range cluster.Nodes {
		commands += ranAt(t, node, "evalsha") + ranAt(t, node, "eval")
	}
	t.Logf("%d calls of %d keys took %d commands and %d connections", crowd, keys, commands, wire.dialed()-dialed)
	assert.Less(t, commands, crowd/2)
	assert.LessOrEqual(t, wire.dialed()-dialed, few)
	for key := range keys {
		assert.EqualValues(t, crowd/keys, used(t, l, fmt.Sprint("cold", key)))
	}
}

// Without the table each call of a batch would be a command.
func aBatchWaitsForTheTable(t *testing.T, cluster *redisserver.Cluster) {
	const keys, each = 10, 20
	requests := make([]slidingwindow.Request, keys*each)
	for i := range requests {
		requests[i] = slidingwindow.Request{Key: fmt.Sprint("table", i%keys), Limits: []slidingwindow.Limit{slidingwindow.PerHour(much)}, Cost: 1}
	}
	commands := 0
	for range 5 { // a busy machine may need longer for the table than a batch waits
		for _, node := range cluster.Nodes {
			command(t, node, "config", "resetstat")
		}
		cold, _ := wired(t, cluster.Addrs()[0], slidingwindow.RedisConfig{Timeout: patient})
		_, errs := cold.DecideTogether(t.Context(), requests...)
		for _, err := range errs {
			require.NoError(t, err)
		}
		commands = 0
		for _, node := range cluster.Nodes {
			commands += ranAt(t, node, "evalsha")
		}
		if commands == keys {
			return
		}
	}
	t.Fatalf("%d calls of %d keys took %d commands", keys*each, keys, commands)
}

// A node that has lost the script gets its text once, and not with each command of a batch.
func aBatchNeedsOneEval(t *testing.T, cluster *redisserver.Cluster) {
	store, wire := wired(t, cluster.Addrs()[0], slidingwindow.RedisConfig{Timeout: patient, BatchesInFlight: 1})
	l := newLimiter(t, store, slidingwindow.PerHour(much))
	awaitParts(t, store)
	first := map[string]string{} // a key of each node
	for i := 0; len(first) < len(cluster.Nodes); i++ {
		key := fmt.Sprint("first", i)
		first[store.Part(key)] = key
	}
	for _, key := range first {
		require.True(t, allow(t, l, key))
	}

	// While the answer to one call of each node is on its way the others gather.
	release := wire.hold()
	asked := func() (n int) {
		for _, node := range cluster.Nodes {
			n += ranAt(t, node, "evalsha")
		}
		return n
	}
	before := asked()
	failed := make(chan []error, 1+len(first))
	for _, key := range first {
		go func() {
			failed <- together(1, func(int) error { _, err := l.Allow(context.Background(), key); return err })
		}()
	}
	require.Eventually(t, func() bool { return asked() == before+len(first) }, patient, time.Millisecond)
	go func() {
		failed <- together(crowd, func(i int) error {
			_, err := l.Allow(context.Background(), fmt.Sprint("key", i))
			return err
		})
	}()
	require.Eventually(t, func() bool { return store.Waiting() == crowd }, patient, time.Millisecond)
	for _, node := range cluster.Nodes {
		command(t, node, "script", "flush")
		command(t, node, "config", "resetstat")
	}
	release()
	for range cap(failed) {
		require.Empty(t, <-failed)
	}
	for _, node := range cluster.Nodes {
		assert.Equal(t, 1, ranAt(t, node, "eval"), "EVALs of %s", node.Addr())
	}
	for i := range crowd {
		require.EqualValues(t, 1, used(t, l, fmt.Sprint("key", i)), "call %d", i)
	}
}

// After a failover, or when a node leaves a Cluster, all calls for that node are MOVED.
func movedCallsNeedFewConnections(t *testing.T, cluster *redisserver.Cluster) {
	store, wire := wired(t, cluster.Addrs()[0], slidingwindow.RedisConfig{Timeout: patient, BatchesInFlight: 2})
	l := newLimiter(t, store, slidingwindow.PerHour(much))
	awaitParts(t, store)
	take := func(name string) []error {
		return together(crowd, func(i int) error {
			_, err := l.Allow(context.Background(), fmt.Sprint(name, i))
			return err
		})
	}
	require.Empty(t, take("before"))
	giveSlots(t, cluster, cluster.Nodes[0], cluster.Nodes[1])
	dialed := wire.dialed()
	require.Empty(t, take("after"))
	t.Logf("%d connections", wire.dialed()-dialed)
	assert.LessOrEqual(t, wire.dialed()-dialed, few)
	for i := range crowd {
		require.EqualValues(t, 1, used(t, l, fmt.Sprint("after", i)), "call %d", i)
	}
}

// giveSlots gives the slots of one node to another, without what is in them. One stays: a node
// without slots would become a replica.
func giveSlots(t *testing.T, cluster *redisserver.Cluster, from, to *redisserver.Server) {
	t.Helper()
	command(t, from, "flushall")
	id := command(t, to, "cluster", "myid")
	slots := slotsOf(t, from)[1:]
	for _, node := range []*redisserver.Server{to, from, cluster.Nodes[2]} {
		client := redistest.Connect(t, node.URL(), func(o *rueidis.ClientOption) { o.ForceSingleClient = true })
		commands := make(rueidis.Commands, len(slots))
		for i, slot := range slots {
			commands[i] = client.B().Arbitrary("CLUSTER", "SETSLOT", strconv.FormatInt(slot, 10), "NODE", id).Build()
		}
		for _, reply := range client.DoMulti(t.Context(), commands...) {
			require.NoError(t, reply.Error())
		}
	}
}

// slotsOf are the slots that a node has.
func slotsOf(t *testing.T, node *redisserver.Server) (slots []int64) {
	t.Helper()
	client := redistest.Connect(t, node.URL(), func(o *rueidis.ClientOption) { o.ForceSingleClient = true })
	own := command(t, node, "cluster", "myid")
	spans, err := do(t, client, "CLUSTER", "SLOTS").ToArray()
	require.NoError(t, err)
	for _, span := range spans {
		fields, err := span.ToArray()
		require.NoError(t, err)
		owner, err := fields[2].ToArray()
		require.NoError(t, err)
		id, err := owner[2].ToString()
		require.NoError(t, err)
		first, err := fields[0].AsInt64()
		require.NoError(t, err)
		last, err := fields[1].AsInt64()
		require.NoError(t, err)
		for slot := first; id == own && slot <= last; slot++ {
			slots = append(slots, slot)
		}
	}
	return slots
}

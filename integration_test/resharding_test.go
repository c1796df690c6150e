package integration_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// resharding is a cluster one slot of which is to be moved, and keys of that slot.
type resharding struct {
	deployment
	cluster *redisserver.Cluster
	slot    uint16
	keys    []string
}

func startResharding(t *testing.T) resharding {
	t.Helper()
	c, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	client, err := connectTo(t.Context(), "REDIS_URL=redis://"+c.Addrs()[0])
	require.NoError(t, err)
	t.Cleanup(client.Close)
	r := resharding{deployment: deployment{client: client, prefix: "rl"}, cluster: c, slot: slotOf(client, "rl", "k")}
	for i := 0; len(r.keys) < 12; i++ {
		if key := fmt.Sprint("k", i); slotOf(client, "rl", key) == r.slot {
			r.keys = append(r.keys, key)
		}
	}
	return r
}

// slotOf is the slot of a key's logs.
func slotOf(client rueidis.Client, prefix, key string) uint16 {
	command := client.B().Zcard().Key(prefix + ":{" + key + "}").Build()
	return command.Slot()
}

// begin lets the slot move to the next node.
func (r resharding) begin(t *testing.T) *redisserver.SlotMove {
	t.Helper()
	for _, to := range r.cluster.Nodes {
		if move, err := r.cluster.BeginMove(t.Context(), r.slot, to); err == nil {
			return move
		}
	}
	require.Fail(t, "no node takes the slot")
	return nil
}

// Calls of one limit have one log, which is always in one place, although a batch of them
// has many.
func TestReshardingFailsNoCallOfOneLimit(t *testing.T) {
	t.Parallel()
	r := startResharding(t)
	l := r.limiter(t, slidingwindow.PerHour(100))
	var taken int64
	everybody := func() {
		var all sync.WaitGroup
		for range 10 {
			for _, key := range r.keys {
				all.Go(func() {
					d, err := l.Allow(t.Context(), key)
					assert.NoError(t, err)
					assert.True(t, d.Allowed)
				})
			}
		}
		all.Wait()
		taken += 10
	}
	for _, key := range r.keys[:6] { // the others are new while the slot moves
		mustTake(t, l, key, 10)
	}
	move := r.begin(t)
	everybody()
	moved, err := move.Keys(t.Context(), 3)
	require.NoError(t, err)
	require.Equal(t, 3, moved)
	everybody()
	require.NoError(t, move.End(t.Context()))
	everybody()
	for i, key := range r.keys {
		want := 100 - taken
		if i < 6 {
			want -= 10
		}
		d, err := l.Peek(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, want, d.Remaining, "what was counted moved, too")
	}
}

// The slot goes round the cluster while calls are made: by ASK on the way, by MOVED after.
func TestReshardingUnderLoad(t *testing.T) {
	t.Parallel()
	r := startResharding(t)
	tr := startTraffic(t, r.limiter(t, slidingwindow.PerDay(1_000_000)), r.keys)
	tr.awaitAllowed(t, 100)
	for range 4 {
		move := r.begin(t)
		for moved := -1; moved != 0; {
			tr.awaitAllowed(t, 100)
			var err error
			moved, err = move.Keys(t.Context(), 4)
			require.NoError(t, err)
		}
		require.NoError(t, move.End(t.Context()))
		tr.awaitAllowed(t, 100)
	}
	units := func() int64 { return counted(t, r.client, r.keys, "1000000-per-24h") }
	tr.check(t, units)
	allowed, errs := tr.counts()
	assert.Zero(t, errs)
	assert.Equal(t, allowed, units(), "each is counted once")
}

// Several logs of a key can be in two places at a time. Then nothing can be decided, and
// nothing is counted.
func TestReshardingOfSeveralLimits(t *testing.T) {
	t.Parallel()
	r := startResharding(t)
	l := r.limiter(t, slidingwindow.PerHour(10), slidingwindow.PerDay(20))
	old, split, unused := r.keys[0], r.keys[1], r.keys[2]
	require.EqualValues(t, 9, mustTake(t, l, old, 1).Remaining)
	move := r.begin(t)
	require.EqualValues(t, 8, mustTake(t, l, old, 1).Remaining, "both logs are at the old node")

	_, err := l.Allow(t.Context(), unused)
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	require.ErrorContains(t, err, "TRYAGAIN")

	// One log is at the new node, the other nowhere yet.
	require.True(t, mustTake(t, r.limiter(t, slidingwindow.PerDay(20)), split, 3).Allowed)
	_, err = l.Allow(t.Context(), split)
	require.ErrorContains(t, err, "TRYAGAIN")
	require.NoError(t, l.Reset(t.Context(), split), "each is removed where it is")

	require.NoError(t, move.End(t.Context()))
	assert.EqualValues(t, 7, mustTake(t, l, old, 1).Remaining)
	assert.EqualValues(t, 9, mustTake(t, l, unused, 1).Remaining)
	assert.EqualValues(t, 19, mustTake(t, l, split, 1).Statuses()[1].Remaining)
}

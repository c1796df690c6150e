package integration_test

import (
	"context"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// counted is how many units the logs of the keys hold.
func counted(t *testing.T, client rueidis.Client, keys []string, limit string) (units int64) {
	t.Helper()
	for _, key := range keys {
		// A log is a header and the hits.
		n, err := client.Do(t.Context(), client.B().Zcount().Key("rl:{"+key+"}:"+limit).Min("0").Max("+inf").Build()).AsInt64()
		require.NoError(t, err)
		units += n
	}
	return units
}

func startGroup(t *testing.T, args ...string) *redisserver.Group {
	t.Helper()
	group, err := redisserver.StartGroup(t.Context(), redisserver.GroupConfig{Replicas: 1, Sentinels: 3, Args: args})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, group.Stop()) })
	require.NoError(t, group.Settle(t.Context()))
	return group
}

func throughSentinel(t *testing.T, group *redisserver.Group) rueidis.Client {
	t.Helper()
	return connected(t, "REDIS_URL=redis://"+group.Addrs()[0]+"?addr="+group.Addrs()[1]+"&addr="+group.Addrs()[2]+"&master_set="+redisserver.MasterSet)
}

// The master is killed while calls are made. What callers see of it is in package faults; this
// is about what was counted.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	group := startGroup(t)
	client := throughSentinel(t, group)
	l := deployment{client: client, prefix: "rl"}.limiter(t, slidingwindow.PerDay(1_000_000))
	tr := startTraffic(t, l, keys())
	tr.awaitAllowed(t, 2000)
	require.NoError(t, group.Nodes[0].Kill())
	tr.awaitError(t)
	tr.awaitAllowed(t, 1000)
	tr.check(t, func() int64 { return counted(t, client, keys(), "1000000-per-24h") })
}

// takeAll takes units until it is refused, or fails, and tells how many it got.
func takeAll(ctx context.Context, l *slidingwindow.Limiter, key string) (units int64, err error) {
	for {
		d, err := l.Allow(ctx, key)
		if err != nil || !d.Allowed {
			return units, err
		}
		units++
	}
}

// failOver kills the master and waits until its replica decides.
func failOver(t *testing.T, group *redisserver.Group, l *slidingwindow.Limiter) {
	t.Helper()
	require.NoError(t, group.Nodes[0].Kill())
	require.Eventually(t, func() bool { _, err := l.Allow(t.Context(), "another"); return err == nil }, patience, poll)
}

// Replication is not waited for: a new master allows again what the old one had
// not copied to it, and no more.
func TestFailoverForgetsWhatWasNotCopied(t *testing.T) {
	t.Parallel()
	group := startGroup(t)
	l := deployment{client: throughSentinel(t, group), prefix: "rl"}.limiter(t, slidingwindow.PerHour(50))
	mustTake(t, l, "k", 20)
	run(t, group.Nodes[0], "wait", "1", "0")
	// The replica cannot get in any more.
	run(t, group.Nodes[1], "config", "set", "masterauth", "wrong")
	run(t, group.Nodes[1], "client", "kill", "type", "master")
	units, err := takeAll(t.Context(), l, "k")
	require.NoError(t, err)
	require.EqualValues(t, 30, units)
	failOver(t, group, l)
	units, err = takeAll(t.Context(), l, "k")
	require.NoError(t, err)
	assert.EqualValues(t, 30, units, "so 80 of 50 in all")
}

// With min-replicas-to-write a master whose replica is late does not decide, so that what
// can be lost is bounded by min-replicas-max-lag.
func TestFailoverWithMinReplicas(t *testing.T) {
	t.Parallel()
	group := startGroup(t, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "1")
	l := deployment{client: throughSentinel(t, group), prefix: "rl"}.limiter(t, slidingwindow.PerDay(1_000_000))
	require.Eventually(t, func() bool { d, err := l.AllowN(t.Context(), "k", 20); return err == nil && d.Allowed }, patience, poll)
	run(t, group.Nodes[0], "wait", "1", "0")
	require.NoError(t, group.Nodes[1].Freeze())
	t.Cleanup(func() { assert.NoError(t, group.Nodes[1].Thaw()) })
	lost, err := takeAll(t.Context(), l, "k")
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	require.ErrorContains(t, err, "NOREPLICAS")
	t.Log("allowed after the replica froze:", lost)
	_, err = l.Allow(t.Context(), "k")
	require.ErrorContains(t, err, "NOREPLICAS")
	d, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 1_000_000-20-lost, d.Remaining, "what was not allowed is not counted")
}

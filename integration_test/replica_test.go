package integration_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// A replica takes no writes, so it allows nothing. It refuses and looks as its master does.
func TestReplicaAllowsNothing(t *testing.T) {
	t.Parallel()
	master := startServer(t)
	replica, err := redisserver.StartReplica(t.Context(), master)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, replica.Stop()) })
	limits := []slidingwindow.Limit{slidingwindow.PerHour(3), slidingwindow.PerDay(100)}
	atMaster := deployment{client: connected(t, "REDIS_URL="+master.URL()), prefix: "rl"}.limiter(t, limits...)
	atReplica := deployment{client: connected(t, "REDIS_URL="+replica.URL()), prefix: "rl"}.limiter(t, limits...)
	taken := mustTake(t, atMaster, "k", 3)
	mustTake(t, atMaster, "j", 1)
	run(t, master, "wait", "1", "0")

	_, err = atReplica.Allow(t.Context(), "j")
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	require.ErrorContains(t, err, "READONLY")
	d, err := atReplica.Peek(t.Context(), "j")
	require.NoError(t, err)
	assert.EqualValues(t, 2, d.Remaining)
	d, err = atReplica.Allow(t.Context(), "k")
	require.NoError(t, err, "a refusal writes nothing")
	assert.False(t, d.Allowed)
	assert.InDelta(t, time.Hour, d.RetryAfter, float64(time.Minute))
	require.ErrorContains(t, atReplica.Refund(t.Context(), "k", taken), "READONLY")
	require.ErrorContains(t, atReplica.Reset(t.Context(), "k"), "READONLY")

	require.NoError(t, replica.Lead(t.Context()))
	assert.EqualValues(t, 1, mustTake(t, atReplica, "j", 1).Remaining, "promoted: it counts at once")
	require.NoError(t, atReplica.Refund(t.Context(), "k", taken), "of another process's decision, and of the old master")
	assert.True(t, mustTake(t, atReplica, "k", 3).Allowed, "no refusal is remembered over the refund")
}

// The master is made a replica of another server while a program is connected to it.
func TestMasterIsDemoted(t *testing.T) {
	t.Parallel()
	master, other := startServer(t), startServer(t)
	l := deployment{client: connected(t, "REDIS_URL="+master.URL()), prefix: "rl"}.limiter(t, slidingwindow.PerHour(100))
	mustTake(t, l, "k", 1)
	require.NoError(t, master.Follow(t.Context(), other))
	var err error
	require.Eventually(t, func() bool { _, err = l.Allow(t.Context(), "k"); return err != nil }, patience, poll)
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	require.NoError(t, master.Lead(t.Context()))
	require.Eventually(t, func() bool { _, err = l.Allow(t.Context(), "k"); return err == nil }, patience, poll)
}

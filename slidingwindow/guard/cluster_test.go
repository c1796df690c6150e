package guard_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
)

// clusterStore is a store over a cluster, which knows its nodes.
func clusterStore(t *testing.T, cluster *redisserver.Cluster) *slidingwindow.RedisStore {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: cluster.Addrs(), AlwaysPipelining: true})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: patience})
	require.NoError(t, err)
	t.Cleanup(store.Close)
	require.Eventually(t, func() bool { return store.Part("k") != "" }, patience, time.Millisecond)
	return store
}

// One node of a Cluster is away: its keys are in an outage, and no others.
func TestANodeOfAClusterFailsAlone(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartCluster(t.Context(), 3, "--cluster-require-full-coverage", "no")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Stop()) })
	store := clusterStore(t, cluster)
	var log lockedBuffer
	g := newGuard(t, store, guard.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	l := newLimiter(t, g, slidingwindow.PerMinute(1_000_000))
	dead := cluster.Nodes[0]
	require.NoError(t, dead.Kill())

	var decided, failed atomic.Int64
	var callers sync.WaitGroup
	began := time.Now()
	goesOn := func() bool { // over the beginning of the outage, and a while longer
		took := time.Since(began)
		return took < 2*time.Second || took < patience && g.Available()
	}
	for i := range 16 {
		callers.Go(func() {
			for n := 0; goesOn(); n++ {
				key := fmt.Sprint(i, "-", n)
				_, err := l.Allow(t.Context(), key)
				switch {
				case store.Part(key) == dead.Addr():
					failed.Add(1)
					assert.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
				default:
					decided.Add(1)
					assert.NoError(t, err)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	callers.Wait()
	assert.Positive(t, failed.Load())
	assert.Positive(t, decided.Load())
	assert.False(t, g.Available())
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	assert.Contains(t, log.String(), `msg="slidingwindow: the store is unavailable" part=`+dead.Addr()+` on_failure=closed`)
}

// When a replica takes over, the outage of the node that died ends.
func TestAnOutageEndsWithAFailover(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartReplicatedCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Stop()) })
	store := clusterStore(t, cluster)
	var log lockedBuffer
	g := newGuard(t, store, guard.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	l := newLimiter(t, g, slidingwindow.PerMinute(1_000_000))
	dead := cluster.Nodes[0]
	key := ""
	for n := 0; store.Part(key) != dead.Addr(); n++ {
		key = fmt.Sprint("k", n)
	}
	_, err = l.Allow(t.Context(), key)
	require.NoError(t, err)
	require.NoError(t, dead.Kill())
	require.Eventually(t, func() bool {
		_, _ = l.Allow(t.Context(), key)
		return !g.Available()
	}, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		d, err := l.Allow(t.Context(), key)
		return err == nil && d.Allowed && g.Available()
	}, time.Minute, 10*time.Millisecond)
	assert.Equal(t, strings.Count(log.String(), "is unavailable\""), strings.Count(log.String(), "available again"), log.String())
}

package slidingwindow_test

import (
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

func TestAPartIsTheNodeOfAKey(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartCluster(t.Context(), 3, "--cluster-require-full-coverage", "no")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Stop()) })
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: cluster.Addrs(), AlwaysPipelining: true})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: patient})
	require.NoError(t, err)
	t.Cleanup(store.Close)
	require.Eventually(t, func() bool { return store.Part("k") != "" }, patient, time.Millisecond)
	limiter := newLimiter(t, store, slidingwindow.PerHour(5))
	parts := map[string]*redisserver.Server{}
	for _, node := range cluster.Nodes {
		parts[node.Addr()] = node
	}
	keys := map[string]int{}
	for i := range 60 {
		key := fmt.Sprint("key{", i, "} ") // its escapes count for the slot
		_, err := limiter.Allow(t.Context(), key)
		require.NoError(t, err)
		node := parts[store.Part(key)]
		require.NotNil(t, node, store.Part(key))
		there, err := node.Do(t.Context(), "EXISTS", slidingwindow.RedisKey("rl", slidingwindow.EscapeKey(key), "5-per-1h"))
		require.NoError(t, err)
		require.Equal(t, "1", there)
		keys[node.Addr()]++
	}
	assert.Len(t, keys, 3)

	// A failed call has the table read again.
	reply, err := cluster.Nodes[0].Do(t.Context(), "cluster", "keyslot", "rl:{k}:")
	require.NoError(t, err)
	slot, err := strconv.Atoi(reply)
	require.NoError(t, err)
	var move *redisserver.SlotMove
	var to, dead *redisserver.Server
	for _, node := range cluster.Nodes {
		switch {
		case store.Part("k") == node.Addr():
		case to == nil:
			to = node
		default:
			dead = node
		}
	}
	move, err = cluster.BeginMove(t.Context(), uint16(slot), to) //nolint:gosec // it is less than 16384
	require.NoError(t, err)
	require.NoError(t, move.End(t.Context()))
	assert.Equal(t, move.From().Addr(), store.Part("k"), "nothing went wrong yet")
	other := ""
	for i := 0; store.Part(other) != dead.Addr(); i++ {
		other = fmt.Sprint("other", i)
	}
	require.NoError(t, dead.Kill())
	require.Eventually(t, func() bool {
		_, err := limiter.Allow(t.Context(), other)
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
		return store.Part("k") == to.Addr()
	}, patient, 10*time.Millisecond)
	store.Close()
	assert.Equal(t, to.Addr(), store.Part("k"))
}

func TestPartsAreUnknownWhereNobodyTells(t *testing.T) {
	t.Parallel()
	single, err := slidingwindow.NewRedisStore(redistest.Client(t), slidingwindow.RedisConfig{})
	require.NoError(t, err)
	assert.Empty(t, single.Part("k"), "it is one server")
}

package redisserver_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

const patience = 2 * time.Minute

func TestReplicaCopiesAndIsPromoted(t *testing.T) {
	t.Parallel()
	master, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	defer func() { assert.NoError(t, master.Stop()) }()
	_, err = master.Do(t.Context(), "set", "k", "v")
	require.NoError(t, err)
	replica, err := redisserver.StartReplica(t.Context(), master)
	require.NoError(t, err)
	defer func() { assert.NoError(t, replica.Stop()) }()

	value, err := replica.Do(t.Context(), "get", "k")
	require.NoError(t, err)
	assert.Equal(t, "v", value)
	_, err = replica.Do(t.Context(), "set", "k", "w")
	require.ErrorContains(t, err, "READONLY")
	require.NoError(t, replica.Lead(t.Context()))
	_, err = replica.Do(t.Context(), "set", "k", "w")
	require.NoError(t, err)
}

func TestSentinelsPromoteAReplica(t *testing.T) {
	t.Parallel()
	group, err := redisserver.StartGroup(t.Context(), redisserver.GroupConfig{Replicas: 1, Sentinels: 3})
	require.NoError(t, err)
	defer func() { assert.NoError(t, group.Stop()) }()
	require.NoError(t, group.Settle(t.Context()))
	require.NoError(t, group.Nodes[0].Kill())
	require.Eventually(t, func() bool {
		master, err := group.Master(t.Context())
		return err == nil && master == group.Nodes[1]
	}, patience, 100*time.Millisecond)
}

func TestSlotMovesWithItsKeys(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartReplicatedCluster(t.Context(), 3)
	require.NoError(t, err)
	defer func() { assert.NoError(t, cluster.Stop()) }()
	client := connect(t, cluster.Addrs()...)
	command := client.B().Set().Key("k").Value("v").Build()
	slot := command.Slot()
	require.NoError(t, client.Do(t.Context(), command).Error())

	var to *redisserver.Server
	var move *redisserver.SlotMove
	for _, node := range cluster.Nodes[:3] {
		to = node
		if move, err = cluster.BeginMove(t.Context(), slot, to); err == nil {
			break
		}
	}
	require.NoError(t, err)
	_, err = move.From().Do(t.Context(), "get", "{k}none")
	require.ErrorContains(t, err, "ASK")
	require.NoError(t, move.End(t.Context()))
	_, err = move.From().Do(t.Context(), "get", "k")
	require.ErrorContains(t, err, "MOVED")
	value, err := to.Do(t.Context(), "get", "k")
	require.NoError(t, err)
	assert.Equal(t, "v", value)
}

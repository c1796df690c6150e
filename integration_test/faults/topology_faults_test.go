//go:build unix

package faults_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

const promotion = time.Minute // bounds the wait for Redis to promote a replica

// eventually waits for what Redis does by itself.
func eventually(t *testing.T, happened func() bool) {
	t.Helper()
	require.Eventually(t, happened, promotion, 10*time.Millisecond)
}

func reply(t *testing.T, s *redisserver.Server, command ...string) string {
	t.Helper()
	text, err := s.Do(t.Context(), command...)
	require.NoError(t, err)
	return text
}

// The fault ends when the sentinels have a new master; how long that takes is a setting of
// theirs. Units that were not copied to it can be taken once more.
func TestSentinelFailover(t *testing.T) {
	group, err := redisserver.StartGroup(t.Context(), redisserver.GroupConfig{Replicas: 1, Sentinels: 3})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, group.Stop()) })
	require.NoError(t, group.Settle(t.Context()))
	scenario{
		Fault: "Sentinel: master kill -9", MayLose: 1, Until: somebody(failed),
		URL:    "redis://" + group.Addrs()[0] + "?addr=" + group.Addrs()[1] + "&master_set=" + redisserver.MasterSet,
		Inject: func() { require.NoError(t, group.Nodes[0].Kill()) },
		Lift: func() {
			eventually(t, func() bool {
				master, err := group.Master(t.Context())
				return err == nil && master == group.Nodes[1]
			})
		},
	}.run(t)
}

// The fault ends when a replica has taken over and all slots are served.
func TestClusterNodeDies(t *testing.T) {
	c, err := redisserver.StartReplicatedCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	masters, replicas := c.Nodes[:3], c.Nodes[3:]
	scenario{
		Fault: "Cluster: master kill -9", MayLose: 1, Until: somebody(failed),
		URL:    "redis://" + masters[1].Addr() + "?addr=" + masters[2].Addr(),
		Inject: func() { require.NoError(t, masters[0].Kill()) },
		Lift: func() {
			eventually(t, func() bool {
				for _, replica := range replicas {
					if strings.Contains(reply(t, replica, "info", "replication"), "role:master") {
						return true
					}
				}
				return false
			})
			for _, node := range c.Nodes[1:] {
				eventually(t, func() bool { return strings.Contains(reply(t, node, "cluster", "info"), "cluster_state:ok") })
			}
		},
	}.run(t)
}

// A slot half of whose keys are at another node: ASK. After that: MOVED. Neither is anything
// to a limiter of one limit.
func TestSlotMoves(t *testing.T) {
	c, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	admin, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: c.Addrs(), DisableCache: true})
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	command := admin.B().Zcard().Key("rl:{hot-0}").Build()
	slot := command.Slot()
	var move *redisserver.SlotMove
	scenario{
		Fault: "Cluster: slot moved", URL: "redis://" + c.Addrs()[0], Harmless: true,
		Inject: func() {
			for _, to := range c.Nodes {
				if move, err = c.BeginMove(t.Context(), slot, to); err == nil {
					break
				}
			}
			require.NoError(t, err)
			_, err = move.Keys(t.Context(), 1)
			require.NoError(t, err)
		},
		Lift: func() { require.NoError(t, move.End(t.Context())) },
	}.run(t)
}

// A master that is made a replica forgets its logs, and takes no writes.
func TestMasterIsDemoted(t *testing.T) {
	s, other := startServer(t), startServer(t)
	r := scenario{
		Fault: "master made a replica and back", URL: s.URL(), MayLose: 1, Until: everybody(failedBy("READONLY")),
		Inject: func() { require.NoError(t, s.Follow(t.Context(), other.Server)) },
		Lift:   func() { require.NoError(t, s.Lead(t.Context())) },
	}.run(t)
	assert.Positive(t, r.Errors["unavailable: READONLY"])
}

// Nobody is asked for the password again, until a connection breaks.
func TestPasswordIsRotated(t *testing.T) {
	s := startServer(t)
	user := []string{"acl", "setuser", "limiter", "on", "resetpass", "~rl:*", "+@all"}
	reply(t, s.Server, append(user, ">s3cret")...)
	r := scenario{
		Fault: "password rotated, connections cut", URL: "redis://limiter:s3cret@" + s.Addr(),
		Until: everybody(failedBy("WRONGPASS")),
		Inject: func() {
			reply(t, s.Server, append(user, ">another")...)
			reply(t, s.Server, "client", "kill", "user", "limiter")
		},
		Lift: func() { reply(t, s.Server, append(user, ">s3cret")...) },
	}.run(t)
	assert.Positive(t, r.Errors["unavailable: WRONGPASS"])
}

// The old master is alive and takes no writes, and connections that are open lead to it.
func TestAddressMoves(t *testing.T) {
	for _, test := range []struct {
		fault  string
		refuse func(old *server, now *redisserver.Server)
	}{
		{"address moved, old master a replica", func(old *server, now *redisserver.Server) {
			require.NoError(t, old.Follow(t.Context(), now))
		}},
		{"address moved, old master fenced", func(old *server, _ *redisserver.Server) {
			old.do("CONFIG", "SET", "min-replicas-to-write", "1")
		}},
	} {
		t.Run(test.fault, func(t *testing.T) {
			old, now := startServer(t), startServer(t)
			address, err := redisserver.StartAddress(old.Server)
			require.NoError(t, err)
			t.Cleanup(address.Stop)
			r := scenario{
				Fault: test.fault, URL: address.URL(), MayLose: 1, Until: somebody(failed),
				// Connections that are younger than a second stay.
				Inject: func() {
					time.Sleep(time.Second)
					address.Move(now.Server)
					test.refuse(old, now.Server)
				},
			}.run(t)
			assert.NotEmpty(t, r.Errors)
		})
	}
}

// A master that lost its replicas takes no writes until it has them again.
func TestMasterIsFenced(t *testing.T) {
	s := startServer(t)
	r := scenario{
		Fault: "NOREPLICAS (fenced master)", URL: s.URL(), Until: everybody(failedBy("NOREPLICAS")),
		Inject: func() { s.do("CONFIG", "SET", "min-replicas-to-write", "1") },
		Lift:   func() { s.do("CONFIG", "SET", "min-replicas-to-write", "0") },
	}.run(t)
	assert.Positive(t, r.Errors["unavailable: NOREPLICAS"])
}

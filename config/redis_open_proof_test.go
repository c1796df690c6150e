package config_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/shardproxy"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

var policies = []string{"closed", "open", "fallback"}

func command(t *testing.T, server *redisserver.Server, args ...string) {
	t.Helper()
	_, err := server.Do(t.Context(), args...)
	require.NoError(t, err)
}

// requireNoStart checks that Open fails under every policy, so that a policy allows nothing by
// mistake.
func requireNoStart(t *testing.T, url, want string, environ ...string) {
	t.Helper()
	for _, policy := range policies {
		redis, _ := redisOf(t, append(environ, "REDIS_URL="+url, "REDIS_ON_FAILURE="+policy, "REDIS_TIMEOUT=10s")...)
		store, err := redis.Open(t.Context())
		require.EqualError(t, err, want, policy)
		require.ErrorIs(t, err, slidingwindow.ErrMisconfigured)
		require.Nil(t, store, "nobody can make a call")
	}
}

func TestOpenProvesThatDecisionsCanBeMade(t *testing.T) {
	t.Parallel()
	setUser := func(t *testing.T, server *redisserver.Server, rights ...string) string {
		command(t, server, append([]string{"acl", "setuser", "limiter", "reset", "on", ">s3cret"}, rights...)...)
		return "redis://limiter:s3cret@" + server.Addr()
	}
	t.Run("right", func(t *testing.T) {
		t.Parallel()
		server := startRedis(t)
		requireNoStart(t, setUser(t, server, "~rl:*", "+@all", "-zadd"),
			"redis at "+server.Addr()+" cannot decide: the user lacks the right +zadd; ACL SETUSER gives it")
	})
	t.Run("key pattern", func(t *testing.T) {
		t.Parallel()
		server := startRedis(t)
		requireNoStart(t, setUser(t, server, "~rl:*", "+@all"),
			"redis at "+server.Addr()+" cannot decide: the user may not use keys that begin with mine:{; "+
				"give it the key pattern ~mine:* by ACL SETUSER, or set the store's prefix to one that it may use", "REDIS_PREFIX=mine")
	})
	t.Run("replica", func(t *testing.T) {
		t.Parallel()
		replica, err := redisserver.StartReplica(t.Context(), startRedis(t))
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, replica.Stop()) })
		requireNoStart(t, replica.URL(), "redis at "+replica.Addr()+" cannot decide: READONLY: it is a replica, which takes no writes; "+
			"give the client the address of the master, or those of the Sentinels with the master's name")
	})
	t.Run("EVAL renamed", func(t *testing.T) {
		t.Parallel()
		server := startRedis(t, "--rename-command", "EVAL", "another")
		requireNoStart(t, server.URL(), "redis at "+server.Addr()+" cannot decide: it does not know the command EVAL: "+
			"it was renamed or switched off, or this is not Redis; the store needs that command")
	})
	t.Run("master_set forgotten", func(t *testing.T) {
		t.Parallel()
		group, err := redisserver.StartGroup(t.Context(), redisserver.GroupConfig{Sentinels: 1})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, group.Stop()) })
		addr := group.Addrs()[0]
		requireNoStart(t, "redis://"+addr, "redis at "+addr+" cannot decide: it is a Sentinel, which counts nothing; "+
			"give the client the name of its master as well (mymaster): master_set in the URL, or Sentinel.MasterSet in rueidis.ClientOption")
	})
	t.Run("Lua without struct", func(t *testing.T) {
		t.Parallel()
		// A real Redis, but for that.
		addr := startProxy(t, shardproxy.Config{Servers: []string{startRedis(t).Addr()}, Intercept: func(args []string) ([]string, string) {
			switch {
			case strings.HasPrefix(args[0], "EVALSHA"):
				return nil, "-NOSCRIPT No matching script. Please use EVAL.\r\n"
			case strings.HasPrefix(args[0], "EVAL"):
				args[1] = "local struct = nil " + args[1]
			}
			return args, ""
		}})
		requireNoStart(t, "redis://"+addr+"?protocol=2", "redis at "+addr+" cannot decide: its Lua has no struct.pack as that of Redis: "+
			"it resembles Redis, but is not; the store needs Redis 7.0 or later, or Valkey 7.2 or later")
	})
}

func startProxy(t *testing.T, config shardproxy.Config) (addr string) {
	t.Helper()
	proxy, err := shardproxy.Start(config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, proxy.Stop()) })
	return proxy.Addr()
}

// What passes by itself keeps a start only where the policy cannot do without Redis.
func TestOpenWhileRedisCannotDecideYet(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		heal []string
		want string
	}{
		"no replicas": {[]string{"--min-replicas-to-write", "1"}, []string{"config", "set", "min-replicas-to-write", "0"},
			"NOREPLICAS: fewer replicas follow it than its min-replicas-to-write asks for; bring them back, or lower that setting"},
		"out of memory": {[]string{"--maxmemory", "1"}, []string{"config", "set", "maxmemory", "0"},
			"OOM: it has used all of its maxmemory; free some, or raise maxmemory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startRedis(t, test.args...)
			want := "redis at " + server.Addr() + " cannot decide now: " + test.want
			redis, _ := redisOf(t, "REDIS_URL="+server.URL(), "REDIS_TIMEOUT=10s")
			_, err := redis.Open(t.Context())
			require.EqualError(t, err, want)
			require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)

			redis, logged := redisOf(t, "REDIS_URL="+server.URL(), "REDIS_TIMEOUT=10s", "REDIS_ON_FAILURE=fallback")
			store, err := redis.Open(t.Context())
			require.NoError(t, err)
			defer store.Close()
			require.EqualError(t, store.Ping(t.Context()), "slidingwindow: "+want)
			limiter := limiterOf(t, store, slidingwindow.PerMinute(1000))
			d, err := limiter.Allow(t.Context(), "k")
			require.NoError(t, err)
			assert.Equal(t, slidingwindow.ReasonFallback, d.Reason)

			command(t, server, test.heal...)
			require.NoError(t, store.Ping(t.Context()))
			require.Eventually(t, func() bool {
				d, err := limiter.Allow(t.Context(), "k")
				return assert.NoError(t, err) && d.Reason == slidingwindow.ReasonAllowed &&
					strings.Contains(strings.Join(logged.lines(t), "\n"), "INFO: redis can decide")
			}, patience, poll)
			assert.Equal(t, 1, strings.Count(strings.Join(logged.lines(t), "\n"), "WARN: redis is there, but cannot decide yet"))
		})
	}
}

func TestPingTellsWhetherADecisionCanBeMadeNow(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	redis, _ := redisOf(t, "REDIS_URL="+server.URL(), "REDIS_TIMEOUT=10s")
	store, err := redis.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	for want, set := range map[string][2]string{
		"NOREPLICAS": {"min-replicas-to-write", "1"},
		"OOM":        {"maxmemory", "1"},
	} {
		require.NoError(t, store.Ping(t.Context()))
		command(t, server, "config", "set", set[0], set[1])
		err := store.Ping(t.Context())
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
		require.ErrorContains(t, err, " cannot decide now: "+want)
		command(t, server, "config", "set", set[0], "0")
	}
	require.NoError(t, store.Ping(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, store.Ping(ctx), context.Canceled)
}

// A Redis that comes late is proved, too.
func TestOpenProvesARedisThatComesLate(t *testing.T) {
	t.Parallel()
	server := startRedis(t, "--rename-command", "EVAL", "another")
	require.NoError(t, server.Kill())
	redis, logged := redisOf(t, "REDIS_URL="+server.URL(), "REDIS_TIMEOUT=10s", "REDIS_ON_FAILURE=open")
	store, err := redis.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, server.Restart(t.Context()))
	require.Eventually(t, func() bool { return strings.Contains(strings.Join(logged.lines(t), "\n"), "ERROR") }, patience, poll)
	err = store.Ping(t.Context())
	require.ErrorIs(t, err, slidingwindow.ErrMisconfigured)
	require.ErrorContains(t, err, "it does not know the command EVAL")
}

// A Cluster of which one node is away is used as it is.
func TestOpenAClusterWithoutOneNode(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Stop()) })
	for _, node := range cluster.Nodes {
		command(t, node, "config", "set", "cluster-require-full-coverage", "no")
	}
	require.NoError(t, cluster.Nodes[2].Kill())
	redis, logged := redisOf(t, "REDIS_URL=redis://"+cluster.Addrs()[0])
	store, err := redis.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	assert.Contains(t, strings.Join(logged.lines(t), "\n"), "WARN: redis is there, but cannot decide yet")
	require.ErrorContains(t, store.Ping(t.Context()), cluster.Nodes[2].Addr())
	limiter, decided := limiterOf(t, store, slidingwindow.PerMinute(1000)), 0
	for i := range 30 {
		if _, err := limiter.Allow(t.Context(), fmt.Sprint("k", i)); err == nil {
			decided++
		}
	}
	assert.Positive(t, decided)
}

func TestOpenBehindAProxyThatShardsByTheFirstKey(t *testing.T) {
	t.Parallel()
	addr := startProxy(t, shardproxy.Config{Servers: []string{startRedis(t).Addr(), startRedis(t).Addr()}})
	redis, _ := redisOf(t, "REDIS_URL=redis://"+addr+"?protocol=2", "REDIS_TIMEOUT=10s")
	store, err := redis.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	limiter := limiterOf(t, store, slidingwindow.PerHour(10))
	var allowed [20]atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		for i := range allowed {
			all.Go(func() {
				if d, err := limiter.Allow(t.Context(), fmt.Sprint("k", i)); assert.NoError(t, err) && d.Allowed {
					allowed[i].Add(1)
				}
			})
		}
	}
	all.Wait()
	for i := range allowed {
		assert.EqualValues(t, 10, allowed[i].Load())
	}
}

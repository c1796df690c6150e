package integration_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/redisconn"
)

// A connection that is younger than this stays at a server that refuses.
const stays = time.Second

const connections = 4 // of a client to one server, at most

func addressOf(t *testing.T, to *redisserver.Server) *redisserver.Address {
	t.Helper()
	address, err := redisserver.StartAddress(to)
	require.NoError(t, err)
	t.Cleanup(address.Stop)
	return address
}

// clientsOf are the ways to make a client of an address.
func clientsOf(t *testing.T, url string) map[string]rueidis.Client {
	t.Helper()
	option, err := rueidis.ParseURL(url)
	require.NoError(t, err)
	option.AlwaysPipelining = true
	option.DialCtxFn = redisconn.Dial
	own, err := rueidis.NewClient(option)
	require.NoError(t, err)
	t.Cleanup(own.Close)
	return map[string]rueidis.Client{"of config": connected(t, "REDIS_URL="+url), "one's own": own}
}

// calls makes one call after the other until so many in a row are decided that each of the
// client's connections was used, and tells how many were not.
func calls(t *testing.T, l *slidingwindow.Limiter) (failed int) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for inARow := 0; inARow < 50; {
		_, err := l.Allow(t.Context(), "k")
		if inARow++; err != nil {
			require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
			require.False(t, time.Now().After(deadline), "no call is decided any more: %v", err)
			failed++
			inARow = 0
		}
	}
	return failed
}

// The address has moved to the new master. The old one refuses, in each of its ways, and the
// connections that are open lead to it. Each caller is told so once.
func TestAddressMovesToAnotherServer(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(t *testing.T, old, now *redisserver.Server){
		"READONLY": func(t *testing.T, old, now *redisserver.Server) { require.NoError(t, old.Follow(t.Context(), now)) },
		"MASTERDOWN": func(t *testing.T, old, now *redisserver.Server) {
			run(t, old, "config", "set", "replica-serve-stale-data", "no")
			run(t, old, "replicaof", "127.0.0.1", "1")
		},
		"NOREPLICAS": func(t *testing.T, old, _ *redisserver.Server) {
			run(t, old, "config", "set", "min-replicas-to-write", "1")
		},
		"NOPERM": func(t *testing.T, old, _ *redisserver.Server) {
			run(t, old, "acl", "setuser", "default", "-evalsha", "-eval")
		},
		"NOPERM in the script": func(t *testing.T, old, _ *redisserver.Server) {
			run(t, old, "acl", "setuser", "default", "-zadd")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, now := startServer(t), startServer(t)
			address := addressOf(t, old)
			for whose, client := range clientsOf(t, address.URL()) {
				address.Move(old)
				l := deployment{client: client, prefix: "rl"}.limiter(t, slidingwindow.PerDay(1000))
				require.Zero(t, calls(t, l))
				time.Sleep(stays)
				address.Move(now)
				refuse(t, old, now)
				failed := calls(t, l)
				if !strings.HasPrefix(name, "NOPERM") { // which is believed after a second
					// One for each of the client's connections, and what is under way.
					assert.LessOrEqual(t, failed, 2*connections, "%s: failed calls", whose)
				}
				run(t, old, "acl", "setuser", "default", "+@all")
				run(t, old, "replicaof", "no", "one")
				run(t, old, "config", "set", "min-replicas-to-write", "0")
			}
		})
	}
}

// A server that refuses and is the right one is connected to again, but once a second.
func TestServerThatRefusesIsDialledOnceASecond(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	address := addressOf(t, server)
	l := deployment{client: connected(t, "REDIS_URL="+address.URL()), prefix: "rl"}.limiter(t, slidingwindow.PerDay(1000))
	require.Zero(t, calls(t, l))
	run(t, server, "config", "set", "min-replicas-to-write", "1")
	made, began := address.Made(), time.Now()
	again := 0
	for time.Since(began) < 3*stays || again == 0 {
		_, err := l.Allow(t.Context(), "k")
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
		again = address.Made() - made
		require.Less(t, time.Since(began), patience, "it is never connected to again")
	}
	// As many connections at a time as the client had.
	assert.LessOrEqual(t, again, made*int(1+time.Since(began)/stays))
	run(t, server, "config", "set", "min-replicas-to-write", "0")
	_ = calls(t, l)
}

// What one command may not do says nothing about the others that share its connection.
func TestMissingRightOfACommandFailsNoOther(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	run(t, server, "acl", "setuser", "default", "-evalsha_ro", "-eval_ro")
	l := deployment{client: connected(t, "REDIS_URL="+server.URL()), prefix: "rl"}.limiter(t, slidingwindow.PerDay(1_000_000))
	ctx, cancel := context.WithTimeout(t.Context(), 3*stays)
	defer cancel()
	tr := startTraffic(t, l, keys())
	for ctx.Err() == nil {
		_, err := l.Peek(t.Context(), "k")
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
		time.Sleep(poll)
	}
	tr.end()
	assert.Empty(t, tr.errs, "calls that may be made")
}

// In a Cluster the other nodes keep their connections.
func TestOneNodeThatRefusesIsDialledAgain(t *testing.T) {
	t.Parallel()
	c, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	client := connected(t, "REDIS_URL=redis://"+c.Addrs()[0])
	l := deployment{client: client, prefix: "rl"}.limiter(t, slidingwindow.PerDay(1000))
	for _, key := range keys() {
		mustTake(t, l, key, 1)
	}
	open := func(node *redisserver.Server) (ids []string) {
		for line := range strings.Lines(run(t, node, "client", "list", "type", "normal")) {
			if !strings.Contains(line, "cmd=client|list") { // who asks
				ids = append(ids, strings.Fields(line)[0])
			}
		}
		return ids
	}
	before := [][]string{open(c.Nodes[0]), open(c.Nodes[1]), open(c.Nodes[2])}
	require.NotEmpty(t, before[1])
	time.Sleep(stays)
	run(t, c.Nodes[1], "config", "set", "min-replicas-to-write", "1")
	for range 3 {
		for _, key := range keys() {
			_, _ = l.Allow(t.Context(), key)
		}
	}
	run(t, c.Nodes[1], "config", "set", "min-replicas-to-write", "0")
	for _, key := range keys() {
		require.Eventually(t, func() bool { _, err := l.Allow(t.Context(), key); return err == nil }, patience, poll)
	}
	assert.Subset(t, open(c.Nodes[0]), before[0])
	assert.Subset(t, open(c.Nodes[2]), before[2])
	assert.NotSubset(t, open(c.Nodes[1]), before[1], "the connection that the node refused has ended")
}

// An old master that was not demoted refuses nothing. The bound of a connection's life is the
// bound of that, and no call fails by it.
func TestConnectionsThatAreTooOldAreMadeAgain(t *testing.T) {
	t.Parallel()
	old, now := startServer(t), startServer(t)
	address := addressOf(t, old)
	cfg, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=" + address.URL(), "REDIS_CONNECTION_LIFETIME=1s", "REDIS_TIMEOUT=1m"}})
	require.NoError(t, err)
	cfg.Redis.Logger = slog.New(slog.DiscardHandler)
	client, err := cfg.Redis.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	store, err := slidingwindow.NewRedisStore(client, cfg.Redis.StoreConfig())
	require.NoError(t, err)
	l, err := slidingwindow.New(store, slidingwindow.PerDay(1_000_000))
	require.NoError(t, err)
	tr := startTraffic(t, l, keys())
	tr.awaitAllowed(t, 1000)
	address.Move(now)
	in := func(server *redisserver.Server) func() int64 {
		client := connected(t, "REDIS_URL="+server.URL())
		return func() int64 { return counted(t, client, keys(), "1000000-per-24h") }
	}
	inOld, inNow := in(old), in(now)
	require.Eventually(t, func() bool { return inNow() > 1000 }, patience, poll)
	tr.end()
	assert.Empty(t, tr.errs, "no call fails by it")
	assert.Equal(t, tr.allowed, inOld()+inNow(), "and none counts twice")
}

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// The rights that package config documents.
var (
	rightsOfAll = strings.Fields("~rl:* +evalsha +eval +evalsha_ro +eval_ro +time +pexpire +unlink" +
		" +zadd +zcard +zcount +zrange +zrem +zremrangebyrank +zscore" +
		" +client|tracking +client|caching +cluster|slots +cluster|shards +info +ping")
	rightsInCluster     = []string{"+asking"}
	rightsUnderSentinel = []string{"+role"}
	rightsAtSentinels   = strings.Fields("&+sentinel &+slave &+sdown &-sdown &+switch-master &+reboot" +
		" +sentinel|sentinels +sentinel|get-master-addr-by-name +subscribe +unsubscribe +client|tracking +ping")
)

// rightsOfAllAt are those of the rights of all that the server's version needs.
func rightsOfAllAt(t *testing.T, server *redisserver.Server) []string {
	t.Helper()
	unused := "+cluster|shards"
	words := strings.Fields(run(t, server, "hello", "3"))
	if version := words[slices.Index(words, "version")+1]; version[1] != '.' || version[0] >= '8' {
		unused = "+cluster|slots"
	}
	return slices.DeleteFunc(slices.Clone(rightsOfAll), func(right string) bool { return right == unused })
}

// Every kind of command is refused to a new user.
func setUser(t *testing.T, server *redisserver.Server, rights []string) {
	t.Helper()
	rule := append([]string{"acl", "setuser", "limiter", "reset", "on", ">s3cret"}, rights...)
	_, err := server.Do(t.Context(), rule...)
	require.NoError(t, err)
	_, err = server.Do(t.Context(), "acl", "log", "reset")
	require.NoError(t, err)
}

// denied is an error if the server has refused anything to the user: even where nobody
// notices, it fills the server's ACL LOG.
func denied(t *testing.T, server *redisserver.Server) error {
	t.Helper()
	log, err := server.Do(t.Context(), "acl", "log", "1")
	require.NoError(t, err)
	if log == "" {
		return nil
	}
	return errors.New("in ACL LOG: " + strings.Join(strings.Fields(log)[:8], " "))
}

func forgetScripts(ctx context.Context, server *redisserver.Server) error {
	_, err := server.Do(ctx, "script", "flush")
	return err
}

// everyCall connects as a program does and makes every call of a Limiter, on the simple
// path of the scripts and on the others, each also with a server that does not know the
// script.
func everyCall(ctx context.Context, server *redisserver.Server, environ ...string) error {
	c, err := config.Load(config.Sources{Environ: append(environ, "REDIS_TIMEOUT=5s")})
	if err != nil {
		return err
	}
	client, err := connect(ctx, c.Redis)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, limits := range [][]slidingwindow.Limit{
		{{Name: "one", Max: 10, Window: 100 * time.Millisecond}},
		{{Name: "first", Max: 10, Window: 100 * time.Millisecond}, {Name: "second", Max: 20, Window: 200 * time.Millisecond}},
	} {
		if err := everyCallOf(ctx, client, c.Redis.StoreConfig(), limits, server); err != nil {
			return err
		}
	}
	return nil
}

// connectTo connects as a program does.
// connectTo makes a client that waits for a slow machine rather than give a connection up.
func connectTo(ctx context.Context, environ ...string) (rueidis.Client, error) {
	environ = slices.Clone(environ)
	for i, variable := range environ {
		if strings.HasPrefix(variable, "REDIS_URL=") {
			separator := "?"
			if strings.Contains(variable, separator) {
				separator = "&"
			}
			environ[i] += separator + "dial_timeout=1m&write_timeout=1m"
		}
	}
	c, err := config.Load(config.Sources{Environ: environ})
	if err != nil {
		return nil, err
	}
	return connect(ctx, c.Redis)
}

func connect(ctx context.Context, r config.Redis) (rueidis.Client, error) {
	r.Logger = slog.New(slog.DiscardHandler)
	return r.Connect(ctx)
}

func everyCallOf(ctx context.Context, client rueidis.Client, settings slidingwindow.RedisConfig, limits []slidingwindow.Limit, server *redisserver.Server) error {
	store, err := slidingwindow.NewRedisStore(client, settings)
	if err != nil {
		return err
	}
	defer store.Close()
	limiter, err := slidingwindow.New(store, limits...)
	if err != nil {
		return err
	}
	slow, err := limiter.WithLimits(slidingwindow.Limit{Name: "slow", Max: 3, Window: time.Hour})
	if err != nil {
		return err
	}
	for i := range 3 {
		key := fmt.Sprint("198.51.100.", i)
		if err := forgetScripts(ctx, server); err != nil {
			return err
		}
		for _, units := range []int64{1, 1, 3, 2} {
			d, err := limiter.AllowN(ctx, key, units)
			if err != nil {
				return fmt.Errorf("allow: %w", err)
			}
			if err := forgetScripts(ctx, server); err != nil {
				return err
			}
			if err := limiter.Refund(ctx, key, d); err != nil {
				return fmt.Errorf("refund: %w", err)
			}
			if _, err := limiter.Peek(ctx, key); err != nil {
				return fmt.Errorf("peek: %w", err)
			}
			if _, err := limiter.AllowN(ctx, key, units); err != nil {
				return fmt.Errorf("allow: %w", err)
			}
		}
		if i == 0 {
			for range 3 {
				if _, err := limiter.Allow(ctx, "single units"); err != nil {
					return fmt.Errorf("allow: %w", err)
				}
			}
			time.Sleep(250 * time.Millisecond) // some have left the windows, and are trimmed
			for _, key := range []string{key, "single units"} {
				if _, err := limiter.Allow(ctx, key); err != nil {
					return fmt.Errorf("allow after the window: %w", err)
				}
			}
		}
		if err := limiter.Reset(ctx, key); err != nil {
			return fmt.Errorf("reset: %w", err)
		}
		if err := remembersRefusals(ctx, slow, key); err != nil {
			return err
		}
	}
	return nil
}

func remembersRefusals(ctx context.Context, limiter *slidingwindow.Limiter, key string) error {
	if d, err := limiter.AllowN(ctx, key, 3); err != nil || !d.Allowed {
		return errors.Join(errors.New("three of three are not allowed"), err)
	}
	for range 10 {
		d, err := limiter.Allow(ctx, key)
		if err != nil {
			return fmt.Errorf("refusal: %w", err)
		}
		if d.Reason == slidingwindow.ReasonCached {
			return limiter.Reset(ctx, key)
		}
	}
	return errors.New("no refusal is remembered")
}

// tryRights makes every call with all of the rights, and then without each of them.
func tryRights(t *testing.T, rights []string, try func(rights []string) error) {
	t.Helper()
	require.NoError(t, try(rights), "all rights")
	for i, right := range rights {
		var err error
		for tries := 0; err == nil && tries < 3; tries++ { // a PING comes when it likes
			err = try(slices.Delete(slices.Clone(rights), i, i+1))
		}
		t.Logf("without %s: %v", right, err)
		assert.Error(t, err, "%s is not needed", right)
		if err != nil {
			assert.NotContains(t, err.Error(), "s3cret")
		}
	}
}

func TestFewestRights(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	tryRights(t, rightsOfAllAt(t, server), func(rights []string) error {
		setUser(t, server, rights)
		return errors.Join(everyCall(t.Context(), server, "REDIS_URL=redis://limiter:s3cret@"+server.Addr()), denied(t, server))
	})
}

func TestRightsOfConnect(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	url := "REDIS_URL=redis://limiter:s3cret@" + server.Addr()
	without := func(right string) []string {
		return slices.DeleteFunc(slices.Clone(rightsOfAll), func(r string) bool { return r == right })
	}
	setUser(t, server, without("+client|tracking"))
	_, err = connectTo(t.Context(), url)
	require.EqualError(t, err, "redis at "+server.Addr()+" refused CLIENT TRACKING: NOPERM: the user lacks a permission, or set REDIS_CLIENT_CACHE to false")
	client, err := connectTo(t.Context(), url+"?client_cache=0")
	require.NoError(t, err)
	client.Close()

	setUser(t, server, rightsOfAll)
	_, err = connectTo(t.Context(), url+"/1")
	require.EqualError(t, err, "redis at "+server.Addr()+" refused the connection: NOPERM: the user lacks a permission")
	setUser(t, server, slices.Concat(rightsOfAll, []string{"+select"}))
	require.NoError(t, everyCall(t.Context(), server, url+"/1"))
}

func TestFewestRightsInCluster(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Stop()) })
	admin, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: cluster.Addrs()})
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	// A slot that stays on its way: its keys are looked for in two places.
	command := admin.B().Get().Key("rl:{198.51.100.7}").Build()
	slot := command.Slot()
	var move *redisserver.SlotMove
	for _, to := range cluster.Nodes {
		if move, err = cluster.BeginMove(t.Context(), slot, to); err == nil {
			break
		}
	}
	require.NoError(t, err)
	require.NotNil(t, move)

	tryRights(t, rightsInCluster, func(rights []string) error {
		for _, node := range cluster.Nodes {
			setUser(t, node, slices.Concat(rights, rightsOfAll))
		}
		client, err := connectTo(t.Context(), "REDIS_URL=redis://limiter:s3cret@"+cluster.Addrs()[0])
		if err != nil {
			return err
		}
		defer client.Close()
		store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: 5 * time.Second})
		require.NoError(t, err)
		limiter, err := slidingwindow.New(store, slidingwindow.PerHour(1000))
		require.NoError(t, err)
		_, err = limiter.Allow(t.Context(), "198.51.100.7")
		for _, node := range cluster.Nodes {
			err = errors.Join(err, denied(t, node))
		}
		return err
	})

	// Without that right of all the client takes the node for a lone one, whether or not it may
	// ask it what it is.
	for _, withoutToo := range []string{"", "+info"} {
		for _, node := range cluster.Nodes {
			setUser(t, node, slices.DeleteFunc(slices.Clone(rightsOfAll), func(right string) bool {
				return strings.HasPrefix(right, "+cluster") || right == withoutToo
			}))
		}
		for _, end := range []string{"", "?protocol=2"} {
			_, err = connectTo(t.Context(), "REDIS_URL=redis://limiter:s3cret@"+cluster.Addrs()[0]+end)
			assert.EqualError(t, err, "redis at "+cluster.Addrs()[0]+" is a node of a cluster, and the user may not ask for its slots; allowed: a user with the rights +cluster|slots and, for Redis or Valkey 8 and later, +cluster|shards")
		}
	}
}

func TestFewestRightsUnderSentinel(t *testing.T) {
	t.Parallel()
	group, err := redisserver.StartGroup(t.Context(), redisserver.GroupConfig{Sentinels: 1})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, group.Stop()) })
	require.NoError(t, group.Settle(t.Context()))
	master, sentinel := group.Nodes[0], group.Sentinels[0]
	environ := []string{
		"REDIS_URL=redis://limiter:s3cret@" + sentinel.Addr() + "?master_set=" + redisserver.MasterSet,
		"REDIS_SENTINEL_USERNAME=limiter", "REDIS_SENTINEL_PASSWORD=s3cret",
	}
	try := func() error {
		err := everyCall(t.Context(), master, environ...)
		return errors.Join(err, denied(t, master), denied(t, sentinel))
	}
	setUser(t, sentinel, rightsAtSentinels)
	tryRights(t, rightsUnderSentinel, func(rights []string) error {
		setUser(t, master, slices.Concat(rights, rightsOfAllAt(t, master)))
		return try()
	})
	setUser(t, master, slices.Concat(rightsUnderSentinel, rightsOfAll))
	tryRights(t, rightsAtSentinels, func(rights []string) error {
		setUser(t, sentinel, rights)
		return try()
	})
}

// The rights that are tested are those that are documented.
func TestRightsAreDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../config/doc.go")
	require.NoError(t, err)
	text := strings.Join(strings.Fields(strings.ReplaceAll(string(doc), "//", "")), " ")
	for _, rights := range [][]string{rightsOfAll, rightsInCluster, rightsUnderSentinel, rightsAtSentinels} {
		assert.Contains(t, text, strings.Join(rights, " "))
	}
}

// A cluster that is not made yet is none that can be used.
func TestClusterWithoutSlotsIsNotConnectedTo(t *testing.T) {
	t.Parallel()
	node := startServer(t, "--cluster-enabled", "yes", "--cluster-port", redisserver.FreePort)
	_, err := connectTo(t.Context(), "REDIS_URL="+node.URL())
	require.EqualError(t, err, "redis at "+node.Addr()+" is a cluster that has not given all of its slots to nodes: see redis-cli --cluster check")
	run(t, node, "cluster", "addslotsrange", "0", "16383")
	require.Eventually(t, func() bool {
		client, err := connectTo(t.Context(), "REDIS_URL="+node.URL())
		if err == nil {
			client.Close()
		}
		return err == nil
	}, patience, poll)
}

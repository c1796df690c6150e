package slidingwindow_test

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/internal/shardproxy"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func startServer(t *testing.T, args ...string) *redisserver.Server {
	t.Helper()
	server, err := redisserver.Start(t.Context(), args...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	return server
}

func command(t *testing.T, server *redisserver.Server, args ...string) string {
	t.Helper()
	reply, err := server.Do(t.Context(), args...)
	require.NoError(t, err)
	return reply
}

func storeAt(t *testing.T, addr string, customize ...func(*rueidis.ClientOption)) *slidingwindow.RedisStore {
	t.Helper()
	client := redistest.Connect(t, "redis://"+addr, append(customize, func(o *rueidis.ClientOption) { o.AlwaysPipelining = true })...)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: 10 * time.Second})
	require.NoError(t, err)
	return store
}

func as(user string) func(*rueidis.ClientOption) {
	return func(o *rueidis.ClientOption) { o.Username, o.Password = user, "s3cret" }
}

func withoutRESP3(o *rueidis.ClientOption) { o.AlwaysRESP2, o.DisableCache = true, true }

// requireMisconfigured checks that Check fails, for good and in these words.
func requireMisconfigured(t *testing.T, store *slidingwindow.RedisStore, want string) {
	t.Helper()
	err := store.Check(t.Context())
	require.EqualError(t, err, "slidingwindow: redis at "+want)
	require.ErrorIs(t, err, slidingwindow.ErrMisconfigured)
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	assert.NotContains(t, err.Error(), "s3cret")
}

// requireUnavailable checks that Check failed in these words, for something that passes.
func requireUnavailable(t *testing.T, err error, want string) {
	t.Helper()
	require.EqualError(t, err, "slidingwindow: redis at "+want)
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	require.NotErrorIs(t, err, slidingwindow.ErrMisconfigured)
}

// calledBy are the commands that scripts call.
func calledBy(scripts ...string) []string {
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`call\('([A-Z]+)'`).FindAllStringSubmatch(strings.Join(scripts, "\n"), -1) {
		names[m[1]] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// What else a user needs to connect.
var rightsToConnect = []string{"+client|tracking", "+client|caching", "+cluster|slots", "+info", "+ping"}

func rightsToDecide() []string {
	rights := []string{"+eval", "+eval_ro", "+evalsha", "+evalsha_ro"}
	for _, name := range calledBy(slidingwindow.DecideScript, slidingwindow.RefundScript) {
		rights = append(rights, "+"+strings.ToLower(name))
	}
	return rights
}

func setUser(t *testing.T, server *redisserver.Server, rights ...string) {
	t.Helper()
	command(t, server, append([]string{"acl", "setuser", "limiter", "reset", "on", ">s3cret"}, slices.Concat(rights, rightsToConnect)...)...)
}

func TestTrialTriesEachCommandOfTheScripts(t *testing.T) {
	t.Parallel()
	tried := regexp.MustCompile(`(?m)^  \{'([A-Z]+)'`).FindAllStringSubmatch(slidingwindow.TrialScript, -1)
	var names []string
	for _, m := range tried {
		names = append(names, m[1])
	}
	assert.ElementsMatch(t, calledBy(slidingwindow.DecideScript, slidingwindow.RefundScript), names)
}

func TestTrialIsNobodysLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range slidingwindow.TrialLimits(20) {
		require.ErrorIs(t, limit.Validate(), slidingwindow.ErrInvalidLimit, "no user can have a limit of that name")
	}
}

func TestCheckLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	store := storeAt(t, server.Addr())
	for range 3 {
		require.NoError(t, store.Check(t.Context()))
		assert.Empty(t, command(t, server, "keys", "*"))
	}
	assert.False(t, store.OneKey())
	assert.Zero(t, store.Refusals(), "no refusal is remembered")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := store.Check(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, slidingwindow.ErrStoreUnavailable)

	require.NoError(t, server.Kill())
	err = store.Check(t.Context())
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	require.NotErrorIs(t, err, slidingwindow.ErrMisconfigured)
	store.Close()
	require.ErrorContains(t, store.Check(t.Context()), "closed")
}

func TestCheckNamesTheRightsThatAreMissing(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	store := func() *slidingwindow.RedisStore { return storeAt(t, server.Addr(), as("limiter")) }
	all := append(rightsToDecide(), "~rl:*")
	setUser(t, server, all...)
	command(t, server, "acl", "log", "reset")
	require.NoError(t, store().Check(t.Context()))
	assert.Empty(t, command(t, server, "acl", "log"), "it asks for no other rights")
	for _, knows := range []bool{false, true} {
		for _, right := range rightsToDecide() {
			if !knows {
				command(t, server, "script", "flush")
			}
			setUser(t, server, slices.DeleteFunc(slices.Clone(all), func(r string) bool { return r == right })...)
			requireMisconfigured(t, store(), server.Addr()+" cannot decide: the user lacks the right "+right+"; ACL SETUSER gives it")
		}
		setUser(t, server, all...)
		require.NoError(t, store().Check(t.Context()))
	}
	setUser(t, server, slices.DeleteFunc(slices.Clone(all), func(r string) bool {
		return r == "+zadd" || r == "+evalsha" || r == "+time" || r == "+unlink"
	})...)
	requireMisconfigured(t, store(), server.Addr()+" cannot decide: the user lacks the rights +evalsha +time +unlink +zadd; ACL SETUSER gives them")

	setUser(t, server, append(rightsToDecide(), "~other:*")...)
	requireMisconfigured(t, store(), server.Addr()+" cannot decide: the user may not use keys that begin with rl:{; "+
		"give it the key pattern ~rl:* by ACL SETUSER, or set the store's prefix to one that it may use")
}

func TestCheckTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	t.Run("replica", func(t *testing.T) {
		t.Parallel()
		replica, err := redisserver.StartReplica(t.Context(), startServer(t))
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, replica.Stop()) })
		requireMisconfigured(t, storeAt(t, replica.Addr()), replica.Addr()+" cannot decide: READONLY: it is a replica, which takes no writes; "+
			"give the client the address of the master, or those of the Sentinels with the master's name")
	})
	for _, name := range []string{"EVAL", "EVALSHA", "UNLINK", "ZADD", "PEXPIRE"} {
		t.Run(name+" renamed", func(t *testing.T) {
			t.Parallel()
			server := startServer(t, "--rename-command", name, "another")
			requireMisconfigured(t, storeAt(t, server.Addr()), server.Addr()+" cannot decide: it does not know the command "+name+
				": it was renamed or switched off, or this is not Redis; the store needs that command")
		})
	}
	t.Run("only peeking renamed", func(t *testing.T) {
		t.Parallel()
		server := startServer(t, "--rename-command", "EVALSHA_RO", "", "--rename-command", "EVAL_RO", "")
		require.NoError(t, storeAt(t, server.Addr()).Check(t.Context()), "decisions can be made")
	})
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		group, err := redisserver.StartGroup(t.Context(), redisserver.GroupConfig{Sentinels: 1})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, group.Stop()) })
		requireMisconfigured(t, storeAt(t, group.Addrs()[0]), group.Addrs()[0]+" cannot decide: it is a Sentinel, which counts nothing; "+
			"give the client the name of its master as well (mymaster): master_set in the URL, or Sentinel.MasterSet in rueidis.ClientOption")
	})
	t.Run("no replicas", func(t *testing.T) {
		t.Parallel()
		server := startServer(t, "--min-replicas-to-write", "1")
		requireUnavailable(t, storeAt(t, server.Addr()).Check(t.Context()), server.Addr()+" cannot decide now: NOREPLICAS: fewer replicas follow it than its min-replicas-to-write asks for; "+
			"bring them back, or lower that setting")
	})
	t.Run("out of memory", func(t *testing.T) {
		t.Parallel()
		server := startServer(t, "--maxmemory", "1")
		requireUnavailable(t, storeAt(t, server.Addr()).Check(t.Context()), server.Addr()+" cannot decide now: OOM: it has used all of its maxmemory; free some, or raise maxmemory")
	})
	t.Run("cannot save", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		server := startServer(t, "--dir", dir, "--save", "3600 1")
		require.NoError(t, os.RemoveAll(dir))
		command(t, server, "bgsave")
		require.Eventually(t, func() bool {
			return strings.Contains(command(t, server, "info", "persistence"), "rdb_last_bgsave_status:err")
		}, 10*time.Second, 10*time.Millisecond)
		requireUnavailable(t, storeAt(t, server.Addr()).Check(t.Context()), server.Addr()+
			" cannot decide now: MISCONF: it cannot save its data, and so takes no writes; its log says why")
		command(t, server, "config", "set", "save", "")
	})
	t.Run("loading", func(t *testing.T) {
		t.Parallel()
		server := startServer(t, "--enable-debug-command", "yes", "--loading-process-events-interval-bytes", "1024")
		store := storeAt(t, server.Addr())
		require.NoError(t, store.Check(t.Context()))
		command(t, server, "debug", "populate", "3000")
		command(t, server, "config", "set", "key-load-delay", "500")
		reloaded := make(chan error, 1)
		go func() {
			_, err := server.Do(context.WithoutCancel(t.Context()), "debug", "reload")
			reloaded <- err
		}()
		for !strings.Contains(command(t, server, "info", "persistence"), "\nloading:1") {
			require.Empty(t, reloaded, "it has loaded already")
		}
		requireUnavailable(t, store.Check(t.Context()), server.Addr()+" cannot decide now: LOADING: it is loading its data; wait until it has")
		require.NoError(t, <-reloaded)
		require.NoError(t, store.Check(t.Context()))
	})
	t.Run("busy", func(t *testing.T) {
		t.Parallel()
		server := startServer(t, "--busy-reply-threshold", "1")
		store := storeAt(t, server.Addr())
		// The first failure tells: a connection that is made while Redis is busy fails in another
		// way. On a machine that stands still a call may end before Redis says that it is busy.
		var err error
		for range 5 {
			ended := make(chan struct{})
			go func() {
				_, _ = server.Do(context.WithoutCancel(t.Context()), "eval", "while true do end", "0")
				close(ended)
			}()
			for err = nil; err == nil; {
				err = store.Check(t.Context())
			}
			command(t, server, "script", "kill")
			<-ended
			if strings.Contains(err.Error(), "BUSY: ") {
				break
			}
		}
		requireUnavailable(t, err, server.Addr()+" cannot decide now: BUSY: a script keeps it busy; wait, or end it with SCRIPT KILL")
	})
}

// standIn is a real Redis behind what makes it resemble one only.
func standIn(t *testing.T, intercept func(args []string) ([]string, string)) *shardproxy.Proxy {
	t.Helper()
	proxy, err := shardproxy.Start(shardproxy.Config{Servers: []string{startServer(t).Addr()}, Intercept: intercept})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, proxy.Stop()) })
	return proxy
}

func TestCheckKnowsStandIns(t *testing.T) {
	t.Parallel()
	const resembles = "it resembles Redis, but is not; the store needs Redis 7.0 or later, or Valkey 7.2 or later"
	isScript := func(args []string) bool { return strings.HasPrefix(args[0], "EVAL") }
	for name, test := range map[string]struct {
		intercept func(args []string) ([]string, string)
		want      string
	}{
		"Lua without struct": {func(args []string) ([]string, string) {
			switch {
			case strings.HasPrefix(args[0], "EVALSHA"):
				return nil, "-NOSCRIPT No matching script. Please use EVAL.\r\n"
			case isScript(args):
				args[1] = "local struct = nil " + args[1]
			}
			return args, ""
		}, "its Lua has no struct.pack as that of Redis: " + resembles},
		"no such script": {func(args []string) ([]string, string) { // as miniredis says it
			if isScript(args) {
				return nil, "-ERR Error compiling script (new function): :16: Script attempted to access nonexistent global variable 'struct' stack traceback: ...\r\n"
			}
			return args, ""
		}, `it cannot run the script ("Error compiling script (new function): :16: Script attempted to access nonexistent global variable 'struct' stack traceback: ..."): ` + resembles},
		"other answers": {func(args []string) ([]string, string) {
			if isScript(args) {
				return nil, "+OK\r\n"
			}
			return args, ""
		}, "it gives other answers than Redis: " + resembles},
		"no answers": {func(args []string) ([]string, string) {
			if isScript(args) {
				return nil, "$-1\r\n"
			}
			return args, ""
		}, "it gives other answers than Redis: " + resembles},
		"refuses in words of its own": {func(args []string) ([]string, string) {
			if isScript(args) {
				return nil, "-ERR scripts are for paying customers, with args 's3cret'\r\n"
			}
			return args, ""
		}, `it answers "scripts are for paying customers ..."`},
		"refuses in other words of its own": {func(args []string) ([]string, string) {
			if isScript(args) {
				return nil, "-ERR unsupported command `evalsha` s3cret\r\n"
			}
			return args, ""
		}, "it does not know the command EVALSHA: it was renamed or switched off, or this is not Redis; the store needs that command"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := standIn(t, test.intercept)
			requireMisconfigured(t, storeAt(t, proxy.Addr(), withoutRESP3), proxy.Addr()+" cannot decide: "+test.want)
		})
	}
}

func TestCheckOfACluster(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Stop()) })
	all := append(rightsToDecide(), "~rl:*")
	for _, node := range cluster.Nodes {
		setUser(t, node, all...)
	}
	store := storeAt(t, cluster.Addrs()[0], as("limiter"))
	require.NoError(t, store.Check(t.Context()))
	for _, node := range cluster.Nodes {
		assert.Empty(t, command(t, node, "keys", "*"))
		setUser(t, node, slices.DeleteFunc(slices.Clone(all), func(r string) bool { return r == "+zadd" })...)
		requireMisconfigured(t, store, node.Addr()+" cannot decide: the user lacks the right +zadd; ACL SETUSER gives it")
		setUser(t, node, all...)
	}
	require.NoError(t, store.Check(t.Context()))

	err = storeAt(t, cluster.Addrs()[0], func(o *rueidis.ClientOption) { o.ForceSingleClient = true }).Check(t.Context())
	require.ErrorIs(t, err, slidingwindow.ErrMisconfigured)
	require.ErrorContains(t, err, "MOVED: it is a node of a Cluster, and the client takes it for a single server")

	require.NoError(t, cluster.Nodes[1].Kill())
	err = store.Check(t.Context())
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	require.NotErrorIs(t, err, slidingwindow.ErrMisconfigured)
	require.ErrorContains(t, err, cluster.Nodes[1].Addr(), "it names the one that is away")
}

package slidingwindow_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/shardproxy"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// sharded is a store behind a proxy before two servers.
func sharded(t *testing.T, config shardproxy.Config) (*slidingwindow.RedisStore, []*redisserver.Server) {
	t.Helper()
	servers := []*redisserver.Server{startServer(t), startServer(t)}
	config.Servers = []string{servers[0].Addr(), servers[1].Addr()}
	proxy, err := shardproxy.Start(config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, proxy.Stop()) })
	return storeAt(t, proxy.Addr(), withoutRESP3), servers
}

const inTheirOwnWords = "ERR 'EVALSHA' command keys must in same slot"

func manyKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = strings.Repeat("k", i+1)
	}
	return keys
}

// takeTogether makes calls for all keys at once, each so often, and then each key's one by one. It
// returns how often each was allowed.
func takeTogether(t *testing.T, l *slidingwindow.Limiter, keys []string, each int) map[string]int {
	t.Helper()
	var mu sync.Mutex
	allowed := map[string]int{}
	take := func(key string) {
		d, err := l.Allow(t.Context(), key)
		if assert.NoError(t, err) && d.Allowed {
			mu.Lock()
			allowed[key]++
			mu.Unlock()
		}
	}
	var all sync.WaitGroup
	for range each {
		for _, key := range keys {
			all.Go(func() { take(key) })
		}
	}
	all.Wait()
	for _, key := range keys {
		for range each {
			take(key)
		}
	}
	return allowed
}

// requireExact checks that each key is allowed its Max, is reset, and gets back what is
// refunded, and that nothing of all that is left on a server.
func requireExact(t *testing.T, store *slidingwindow.RedisStore, servers []*redisserver.Server, limits ...slidingwindow.Limit) {
	t.Helper()
	l, err := slidingwindow.New(store, limits...)
	require.NoError(t, err)
	keys := manyKeys(50)
	for key, allowed := range takeTogether(t, l, keys, 15) {
		require.Equal(t, 10, allowed, key)
	}
	var all sync.WaitGroup
	for _, key := range keys {
		all.Go(func() { assert.NoError(t, l.Reset(t.Context(), key)) })
	}
	all.Wait()
	for _, server := range servers {
		require.Empty(t, command(t, server, "keys", "rl:{k*"), "50 resets leave no log")
	}
	for _, key := range keys {
		all.Go(func() {
			d, err := l.Allow(t.Context(), key)
			assert.NoError(t, err)
			assert.NoError(t, l.Refund(t.Context(), key, d))
			d, err = l.Peek(t.Context(), key)
			assert.NoError(t, err)
			assert.EqualValues(t, 10, d.Remaining)
		})
	}
	all.Wait()
}

func TestCheckFindsAProxyThatShardsByTheFirstKey(t *testing.T) {
	t.Parallel()
	store, servers := sharded(t, shardproxy.Config{})
	require.NoError(t, store.Check(t.Context()))
	assert.True(t, store.OneKey())
	for _, server := range servers {
		// What is on the wrong server cannot be removed, and expires.
		for _, key := range strings.Fields(command(t, server, "keys", "*")) {
			require.Contains(t, key, "a-trial-that-proves")
			require.NotEqual(t, "-1", command(t, server, "pttl", key))
		}
	}
	requireExact(t, store, servers, slidingwindow.PerHour(10), slidingwindow.Limit{Name: "day", Max: 11, Window: 24 * time.Hour})
}

// Without the check they count twice: this is the fault that it is for.
func TestProxyThatShardsByTheFirstKeyCountsElsewhere(t *testing.T) {
	t.Parallel()
	store, _ := sharded(t, shardproxy.Config{})
	l, err := slidingwindow.New(store, slidingwindow.PerHour(10))
	require.NoError(t, err)
	over := 0
	for _, allowed := range takeTogether(t, l, manyKeys(50), 15) {
		over += allowed - 10
	}
	assert.Positive(t, over, "the proxy of these tests does what it must do")
	assert.False(t, store.OneKey())
}

func TestProxyThatRefusesSeveralKeysInWordsOfItsOwn(t *testing.T) {
	t.Parallel()
	t.Run("checked", func(t *testing.T) {
		t.Parallel()
		store, servers := sharded(t, shardproxy.Config{Refusal: inTheirOwnWords})
		require.NoError(t, store.Check(t.Context()))
		assert.True(t, store.OneKey())
		requireExact(t, store, servers, slidingwindow.PerHour(10))
	})
	t.Run("not checked", func(t *testing.T) {
		t.Parallel()
		store, servers := sharded(t, shardproxy.Config{Refusal: inTheirOwnWords})
		requireExact(t, store, servers, slidingwindow.PerHour(10))
		assert.True(t, store.OneKey())
	})
}

// decideUnknown decides 50 keys at once when no server knows a script.
func decideUnknown(t *testing.T, store *slidingwindow.RedisStore, servers []*redisserver.Server) []error {
	t.Helper()
	for _, server := range servers {
		require.Equal(t, "OK", command(t, server, "script", "flush"))
	}
	var requests []slidingwindow.Request
	for _, key := range manyKeys(50) {
		requests = append(requests, slidingwindow.Request{Key: key, Limits: []slidingwindow.Limit{slidingwindow.PerHour(10)}, Cost: 1})
	}
	_, errs := store.DecideTogether(t.Context(), requests...)
	require.Len(t, errs, 50)
	return errs
}

// Each server must learn the scripts: the first answer that one of them does not know them is not
// the last.
func TestProxyBeforeServersThatKnowNoScript(t *testing.T) {
	t.Parallel()
	store, servers := sharded(t, shardproxy.Config{Refusal: inTheirOwnWords})
	require.NoError(t, store.Check(t.Context()))
	errs := decideUnknown(t, store, servers)
	assert.Equal(t, make([]error, len(errs)), errs)
}

// A server that cannot learn is not asked again and again: at most three times for each key.
func TestProxyThatForbidsToTeachScripts(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	var forbidden atomic.Bool
	store, servers := sharded(t, shardproxy.Config{Refusal: inTheirOwnWords, Intercept: func(args []string) ([]string, string) {
		switch strings.ToUpper(args[0]) {
		case "EVAL":
			asked.Add(1)
			if forbidden.Load() {
				return nil, "-NOPERM this user has no permissions to run the 'eval' command\r\n"
			}
		case "EVALSHA":
			asked.Add(1)
		}
		return args, ""
	}})
	require.NoError(t, store.Check(t.Context()))
	forbidden.Store(true)
	asked.Store(0)
	errs := decideUnknown(t, store, servers)
	for _, err := range errs {
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
		require.ErrorContains(t, err, "NOPERM")
	}
	assert.LessOrEqual(t, asked.Load(), int64(3*len(errs)))
}

func TestProxyThatIgnoresHashTags(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]shardproxy.Config{
		"silently": {IgnoreHashTags: true},
		"refuses":  {IgnoreHashTags: true, Refusal: inTheirOwnWords},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, _ := sharded(t, config)
			err := store.Check(t.Context())
			require.ErrorIs(t, err, slidingwindow.ErrMisconfigured)
			require.ErrorContains(t, err, ` cannot decide: keys with the same hash tag, the part in braces, are on different servers; `+
				`let the proxy send keys to servers by their hash tags (twemproxy: hash_tag "{}", Envoy: enable_hashtagging: true)`)
		})
	}
}

// A proxy may refuse the logs of one key in one command. They are then refunded and reset one by
// one.
func TestRefundAndResetOfLogsThatShareNoCommand(t *testing.T) {
	t.Parallel()
	store, servers := sharded(t, shardproxy.Config{IgnoreHashTags: true, Refusal: inTheirOwnWords})
	limits := []slidingwindow.Limit{slidingwindow.PerSecond(10), slidingwindow.PerMinute(10), slidingwindow.PerHour(10), slidingwindow.PerDay(10)}
	var (
		statuses []slidingwindow.Status
		name     string
	)
	for _, limit := range limits {
		alone, err := slidingwindow.New(store, limit)
		require.NoError(t, err)
		d, err := alone.Allow(t.Context(), "k")
		require.NoError(t, err)
		statuses, name = append(statuses, d.Statuses()...), d.Store
	}
	left := func() (keys []string) {
		for _, server := range servers {
			keys = append(keys, strings.Fields(command(t, server, "keys", "*"))...)
		}
		return keys
	}
	require.Len(t, left(), 4)
	together := slidingwindow.NewDecision(1, statuses...)
	together.Store = name
	require.NoError(t, store.Settle(t.Context(), "k", together, nil))
	assert.Empty(t, left(), "a log without entries is none")

	for _, limit := range limits {
		alone, err := slidingwindow.New(store, limit)
		require.NoError(t, err)
		_, err = alone.Allow(t.Context(), "k")
		require.NoError(t, err)
	}
	require.Len(t, left(), 4)
	require.NoError(t, store.Reset(t.Context(), "k", limits))
	assert.Empty(t, left())
}

// An error that has nothing to do with the keys must not end the sharing of commands, nor be
// taken for leave to count a call twice.
func TestErrorsOfAProxyAreNotTakenForARefusalOfKeys(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	store, servers := sharded(t, shardproxy.Config{Intercept: func(args []string) ([]string, string) {
		if failing.Load() && strings.HasPrefix(args[0], "EVAL") {
			return nil, "-ERR upstream failure\r\n"
		}
		return args, ""
	}})
	_ = servers
	l, err := slidingwindow.New(store, slidingwindow.PerHour(1000))
	require.NoError(t, err)
	_, err = l.Allow(t.Context(), "k")
	require.NoError(t, err)
	failing.Store(true)
	var all sync.WaitGroup
	for range 3 {
		for _, key := range manyKeys(50) {
			all.Go(func() {
				_, err := l.Allow(t.Context(), key)
				assert.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
				assert.ErrorContains(t, err, "upstream failure")
			})
		}
		all.Wait()
	}
	assert.False(t, store.OneKey())
	failing.Store(false)
	d, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 999, d.Remaining)
}

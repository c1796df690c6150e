package config_test

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func redisOf(t *testing.T, environ ...string) (config.Redis, *logs) {
	t.Helper()
	c, err := config.Load(config.Sources{Environ: environ})
	require.NoError(t, err)
	l := &logs{}
	c.Redis.Logger = slog.New(slog.NewJSONHandler(l, nil))
	return c.Redis, l
}

func limiterOf(t *testing.T, store slidingwindow.Store, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	l, err := slidingwindow.New(store, limits...)
	require.NoError(t, err)
	return l
}

func TestOpenInMemory(t *testing.T) {
	t.Parallel()
	redis, _ := redisOf(t, "REDIS_URL=memory://", "REDIS_ON_FAILURE=fallback")
	store, err := redis.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	assert.True(t, store.Available())
	require.NoError(t, store.Ping(t.Context()))
	d, err := limiterOf(t, store, slidingwindow.PerMinute(1)).Allow(t.Context(), "k")
	require.NoError(t, err)
	assert.Equal(t, slidingwindow.ReasonAllowed, d.Reason)
}

func TestOpenWarnsOfLargeLogs(t *testing.T) {
	t.Parallel()
	redis, logged := redisOf(t, "REDIS_URL=memory://",
		"LIMITS_SMALL_MAX=99999", "LIMITS_SMALL_WINDOW=24h",
		"LIMITS_LARGE_MAX=100000", "LIMITS_LARGE_WINDOW=24h",
		"LIMITS_FINE_MAX=100000000", "LIMITS_FINE_WINDOW=24h", "LIMITS_FINE_RESOLUTION=15m",
		"LIMITS_MEAGER_MAX=100000000", "LIMITS_MEAGER_WINDOW=24h", "LIMITS_MEAGER_RESOLUTION=1ms")
	store, err := redis.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	text := logged.out.String()
	for name, warned := range map[string]bool{"small": false, "large": true, "fine": false, "meager": true} {
		assert.Equal(t, warned, strings.Contains(text, `"limit":"`+name+`"`), "%s: %s", name, text)
	}
	assert.Contains(t, text, `"max":100000,`)
	assert.Contains(t, text, `"bytes_per_key":16000512,"set":"LIMITS_LARGE_RESOLUTION"`)
}

// A refund would get lost between two guards.
func TestAStoreIsNotGuardedAgain(t *testing.T) {
	t.Parallel()
	redis, _ := redisOf(t, "REDIS_URL=memory://")
	store, err := redis.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	_, err = guard.New(store, guard.Config{})
	require.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
	require.ErrorContains(t, err, "store is guarded already")
	inMemory := memory.New()
	_, err = guard.New(inMemory, guard.Config{OnFailure: guard.Fallback, Fallback: store})
	require.ErrorContains(t, err, "guard.Config.Fallback is guarded")
}

func TestOpenInRedis(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	redis, _ := redisOf(t, "REDIS_URL="+server.URL(), "REDIS_PREFIX=mine", "REDIS_TIMEOUT=10s")
	store, err := redis.Open(t.Context())
	require.NoError(t, err)
	require.NoError(t, store.Ping(t.Context()))
	limiter := limiterOf(t, store, slidingwindow.PerMinute(1))
	d, err := limiter.Allow(t.Context(), "k")
	require.NoError(t, err)
	assert.Equal(t, slidingwindow.ReasonAllowed, d.Reason)
	keys, err := server.Do(t.Context(), "KEYS", "*")
	require.NoError(t, err)
	assert.Equal(t, "mine:{k}:1-per-1m", keys)
	require.NoError(t, limiter.Refund(t.Context(), "k", d))
	require.NoError(t, limiter.Reset(t.Context(), "k"))

	require.NoError(t, server.Kill())
	require.ErrorIs(t, store.Ping(t.Context()), slidingwindow.ErrStoreUnavailable)
	store.Close()
	_, err = limiter.Allow(t.Context(), "k")
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
}

func TestOpenWithoutRedis(t *testing.T) {
	t.Parallel()
	addr := closedAddr(t)
	for _, policy := range []string{"", "REDIS_ON_FAILURE=closed"} {
		redis, _ := redisOf(t, "REDIS_URL=redis://"+addr, policy)
		store, err := redis.Open(t.Context())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.EqualError(t, err, "cannot reach redis at "+addr+": connection refused")
		assert.Nil(t, store)
	}
	_, err := config.Redis{}.Open(t.Context())
	assert.ErrorContains(t, err, "REDIS_URL is required")
}

func TestOpenStartsWithoutRedisAndHeals(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	require.NoError(t, server.Kill())
	redis, logged := redisOf(t, "REDIS_URL="+server.URL(), "REDIS_ON_FAILURE=fallback", "REDIS_INSTANCES=3", "REDIS_TIMEOUT=10s")
	store, err := redis.Open(t.Context())
	require.NoError(t, err)
	defer store.Close()
	assert.False(t, store.Available())
	err = store.Ping(t.Context())
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	limiter := limiterOf(t, store, slidingwindow.PerMinute(9))
	d, err := limiter.Allow(t.Context(), "k")
	require.NoError(t, err)
	assert.Equal(t, slidingwindow.ReasonFallback, d.Reason)
	assert.EqualValues(t, 3, d.Limit.Max)
	require.NoError(t, limiter.Refund(t.Context(), "k", d))
	time.Sleep(time.Second) // some tries
	require.NoError(t, server.Restart(t.Context()))
	require.Eventually(t, func() bool {
		d, err := limiter.Allow(t.Context(), "k")
		return assert.NoError(t, err) && d.Reason == slidingwindow.ReasonAllowed
	}, patience, poll)
	assert.True(t, store.Available())
	require.NoError(t, store.Ping(t.Context()))
	lines := strings.Join(logged.lines(t), "\n")
	for want, times := range map[string]int{
		"WARN: redis connection failed " + server.Addr(): 1,
		"WARN: starting without redis":                   1,
		"INFO: redis connected " + server.Addr():         1,
		"ERROR":                                          0,
	} {
		assert.Equal(t, times, strings.Count(lines, want), "%q in\n%s", want, lines)
	}
}

// What nobody but a person can mend must not be found out in an outage only.
func TestOpenDoesNotHideWhatIsWrong(t *testing.T) {
	t.Parallel()
	locked := startRedis(t, "--requirepass", "right")
	plain := startRedis(t)
	for want, url := range map[string]string{
		"WRONGPASS": "redis://:wrong@" + locked.Addr(),
		"NOAUTH":    locked.URL(),
		"DB index":  plain.URL() + "/99",
	} {
		redis, _ := redisOf(t, "REDIS_URL="+url, "REDIS_ON_FAILURE=open")
		store, err := redis.Open(t.Context())
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "wrong@")
		assert.Nil(t, store)
	}
	redis, _ := redisOf(t, "REDIS_URL=redis://"+closedAddr(t), "REDIS_ON_FAILURE=open")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := redis.Open(ctx)
	require.ErrorIs(t, err, context.Canceled, "who gave up gets no store")
}

func TestCloseEndsTheSearch(t *testing.T) {
	before := runtime.NumGoroutine()
	redis, _ := redisOf(t, "REDIS_URL=redis://"+closedAddr(t), "REDIS_ON_FAILURE=open")
	store, err := redis.Open(t.Context())
	require.NoError(t, err)
	store.Close()
	require.ErrorContains(t, store.Ping(t.Context()), "the store is closed")
	store.Close() // again
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
		time.Sleep(poll)
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), before)
}

func TestLease(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	open := func(lease string) *config.Store {
		c, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=" + server.URL(), "REDIS_LEASE=" + lease}})
		require.NoError(t, err)
		store, err := c.Redis.Open(t.Context())
		require.NoError(t, err)
		return store
	}
	leased := open("30s")
	limit := slidingwindow.Limit{Name: "api", Max: 1000, Window: time.Minute}
	l, err := slidingwindow.New(leased, limit)
	require.NoError(t, err)
	for range 200 {
		d, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
		require.True(t, d.Allowed)
	}
	direct := open("0s")
	l2, err := slidingwindow.New(direct, limit)
	require.NoError(t, err)
	d, err := l2.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.Less(t, d.Remaining, int64(800), "units are lent")
	leased.Close()
	d, err = l2.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 800, d.Remaining, "and given back")
	direct.Close()

	long := open("2m")
	defer long.Close()
	_, err = slidingwindow.New(long, limit)
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
	assert.ErrorContains(t, err, `lease.Config.For is 2m0s; allowed: at most 1m0s, the Window of limit "api"`)
	for _, bad := range []string{"-1s", "1us", "soon"} {
		_, err = config.Load(config.Sources{Environ: []string{"REDIS_URL=" + server.URL(), "REDIS_LEASE=" + bad}})
		assert.ErrorIs(t, err, config.ErrInvalid)
		assert.ErrorContains(t, err, "REDIS_LEASE")
		assert.ErrorContains(t, err, "1ms or more, such as 50ms, or 0s for none")
	}
}

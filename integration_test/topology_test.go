package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/internal/testcert"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// TestTopologies makes the same calls over every kind of connection.
func TestTopologies(t *testing.T) {
	t.Parallel()
	for name, connect := range map[string]func(*testing.T) rueidis.Client{
		"RESP3":                configured(""),
		"RESP2":                configured("?protocol=2"),
		"without client cache": configured("?client_cache=0"),
		"without retries":      configured("?max_retries=0"),
		"another database":     configured("/1"),
		"Unix socket":          unixSocket,
		"mutual TLS":           mutualTLS,
		"Sentinel":             sentinel,
		"cluster":              cluster,
		"rueidis's defaults":   single(func(*rueidis.ClientOption) {}),
		"without pipelining":   single(func(o *rueidis.ClientOption) { o.DisableAutoPipelining = true }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := connect(t)
			prefix := redistest.Prefix(t, client)
			for name, check := range map[string]func(*testing.T, deployment){
				"limits":     decidesSeveralLimits,
				"costs":      logsCosts,
				"keys":       takesAnyKey,
				"expiry":     setsTimesToLive,
				"no script":  sendsTheScriptAgain,
				"wrong type": failsOneKeyAlone,
				"reset":      resets,
			} {
				t.Run(name, func(t *testing.T) {
					check(t, deployment{client: client, prefix: prefix + "-" + strings.ReplaceAll(name, " ", "-")})
				})
			}
		})
	}
}

// single is a client of a private server, whose scripts a test may flush, that was not made
// by package config.
func single(customize func(*rueidis.ClientOption)) func(*testing.T) rueidis.Client {
	return func(t *testing.T) rueidis.Client {
		return redistest.Connect(t, startServer(t).URL(), customize)
	}
}

// configured is a client of a private server with the URL's end.
func configured(end string) func(*testing.T) rueidis.Client {
	return func(t *testing.T) rueidis.Client { return connected(t, "REDIS_URL="+startServer(t).URL()+end) }
}

func unixSocket(t *testing.T) rueidis.Client {
	dir, err := os.MkdirTemp("", "") //nolint:usetesting // the name of the test's own is too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "redis.sock")
	startServer(t, "--unixsocket", socket, "--requirepass", "s3cret")
	return connected(t, "REDIS_URL=unix://:s3cret@"+socket)
}

func mutualTLS(t *testing.T) rueidis.Client {
	authority := testcert.New(t)
	own, client := authority.Sign(t, nil, "localhost"), authority.Sign(t, nil)
	server := startServer(t, "--tls-port", redisserver.FreePort, "--tls-cert-file", own.Cert, "--tls-key-file", own.Key, "--tls-ca-cert-file", authority.File)
	port := strings.Fields(run(t, server, "config", "get", "tls-port"))[1]
	return connected(t, "REDIS_URL=rediss://localhost:"+port, "REDIS_CA_FILE="+authority.File, "REDIS_CERT_FILE="+client.Cert, "REDIS_KEY_FILE="+client.Key)
}

func sentinel(t *testing.T) rueidis.Client {
	group, err := redisserver.StartGroup(t.Context(), redisserver.GroupConfig{Replicas: 1, Sentinels: 3})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, group.Stop()) })
	require.NoError(t, group.Settle(t.Context()))
	client := connected(t, "REDIS_URL=redis://"+group.Addrs()[0]+"?addr="+group.Addrs()[1]+"&master_set="+redisserver.MasterSet)
	require.Equal(t, rueidis.ClientModeSentinel, client.Mode())
	return client
}

func cluster(t *testing.T) rueidis.Client {
	c, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	client := connected(t, "REDIS_URL=redis://"+c.Addrs()[0])
	require.Len(t, client.Nodes(), 3)
	return client
}

type deployment struct {
	client rueidis.Client
	prefix string
}

func (d deployment) limiter(t *testing.T, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	store, err := slidingwindow.NewRedisStore(d.client, slidingwindow.RedisConfig{Prefix: d.prefix, Timeout: patience})
	require.NoError(t, err)
	limiter, err := slidingwindow.New(store, limits...)
	require.NoError(t, err)
	return limiter
}

// keys are enough to be on every node of a small cluster.
func keys() []string {
	keys := make([]string, 20)
	for i := range keys {
		keys[i] = fmt.Sprintf("198.51.100.%d", i)
	}
	return keys
}

func mustTake(t *testing.T, l *slidingwindow.Limiter, key string, units int64) slidingwindow.Decision {
	t.Helper()
	d, err := l.AllowN(t.Context(), key, units)
	require.NoError(t, err)
	return d
}

func decidesSeveralLimits(t *testing.T, d deployment) {
	l := d.limiter(t, slidingwindow.PerMinute(3), slidingwindow.PerHour(5), slidingwindow.PerDay(100))
	for _, key := range keys() {
		for i := range int64(3) {
			require.Equal(t, 2-i, mustTake(t, l, key, 1).Remaining)
		}
		refused := mustTake(t, l, key, 1)
		assert.False(t, refused.Allowed)
		assert.Equal(t, "3-per-1m", refused.Limit.Name)
		assert.InDelta(t, time.Minute, refused.RetryAfter, float64(30*time.Second))
		assert.EqualValues(t, 2, refused.Statuses()[1].Remaining, "a refusal by one takes from none")
		peeked, err := l.Peek(t.Context(), key)
		require.NoError(t, err)
		assert.False(t, peeked.Allowed)
	}
}

func logsCosts(t *testing.T, d deployment) {
	l := d.limiter(t, slidingwindow.PerHour(1000))
	for _, key := range keys() {
		left := int64(1000)
		for _, n := range []int64{1, 500, 1, 1, 400} {
			left -= n
			require.Equal(t, left, mustTake(t, l, key, n).Remaining)
		}
		assert.False(t, mustTake(t, l, key, left+1).Allowed)
		assert.True(t, mustTake(t, l, key, left).Allowed)
	}
}

func setsTimesToLive(t *testing.T, d deployment) {
	l := d.limiter(t, slidingwindow.PerMinute(10), slidingwindow.PerHour(10))
	for _, key := range keys() {
		mustTake(t, l, key, 1)
		for name, window := range map[string]time.Duration{"10-per-1m": time.Minute, "10-per-1h": time.Hour} {
			ttl, err := d.client.Do(t.Context(), d.client.B().Pttl().Key(d.prefix+":{"+key+"}:"+name).Build()).AsInt64()
			require.NoError(t, err)
			assert.Positive(t, ttl, "no key without an end")
			assert.LessOrEqual(t, ttl, (2 * window).Milliseconds())
		}
	}
}

func sendsTheScriptAgain(t *testing.T, d deployment) {
	l := d.limiter(t, slidingwindow.PerHour(2))
	for round := range 2 {
		for _, node := range d.client.Nodes() {
			require.NoError(t, node.Do(t.Context(), node.B().ScriptFlush().Build()).Error())
		}
		for _, key := range keys() {
			assert.EqualValues(t, 1-round, mustTake(t, l, key, 1).Remaining)
		}
	}
}

func failsOneKeyAlone(t *testing.T, d deployment) {
	l := d.limiter(t, slidingwindow.PerHour(5))
	require.NoError(t, d.client.Do(t.Context(), d.client.B().Set().Key(d.prefix+":{bad}:5-per-1h").Value("v").Build()).Error())
	errs := make(chan error)
	for i := range 20 {
		go func() {
			key := keys()[i]
			if i == 7 {
				key = "bad"
			}
			_, err := l.Allow(t.Context(), key)
			errs <- err
		}()
	}
	failed := 0
	for range 20 {
		if err := <-errs; err != nil {
			failed++
			assert.ErrorIs(t, err, slidingwindow.ErrForeignData)
		}
	}
	assert.Equal(t, 1, failed)
}

func resets(t *testing.T, d deployment) {
	l := d.limiter(t, slidingwindow.PerHour(1), slidingwindow.PerDay(1))
	another := d.limiter(t, slidingwindow.PerHour(1), slidingwindow.PerDay(1))
	for _, key := range keys() {
		require.True(t, mustTake(t, l, key, 1).Allowed)
		require.False(t, mustTake(t, another, key, 1).Allowed)
		require.NoError(t, another.Reset(t.Context(), key))
		assert.True(t, mustTake(t, l, key, 1).Allowed)
	}
}

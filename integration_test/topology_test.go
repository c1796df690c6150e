package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// TestTopologies makes the same calls over every kind of connection.
func TestTopologies(t *testing.T) {
	t.Parallel()
	for name, connect := range map[string]func(*testing.T) rueidis.Client{
		"RESP3":                single(func(*rueidis.ClientOption) {}),
		"RESP2":                single(func(o *rueidis.ClientOption) { o.AlwaysRESP2, o.DisableCache = true, true }),
		"without client cache": single(func(o *rueidis.ClientOption) { o.DisableCache = true }),
		"always pipelining":    single(func(o *rueidis.ClientOption) { o.AlwaysPipelining = true }),
		"without pipelining":   single(func(o *rueidis.ClientOption) { o.DisableAutoPipelining = true }),
		"cluster":              cluster,
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

// single is a client of a private server, whose scripts a test may flush.
func single(customize func(*rueidis.ClientOption)) func(*testing.T) rueidis.Client {
	return func(t *testing.T) rueidis.Client {
		server, err := redisserver.Start(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, server.Stop()) })
		return redistest.Connect(t, server.URL(), customize)
	}
}

func cluster(t *testing.T) rueidis.Client {
	c, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: c.Addrs()})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.Len(t, client.Nodes(), 3)
	return client
}

type deployment struct {
	client rueidis.Client
	prefix string
}

func (d deployment) limiter(t *testing.T, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	store, err := slidingwindow.NewRedisStore(d.client, slidingwindow.RedisConfig{Prefix: d.prefix, Timeout: 10 * time.Second})
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

func takesAnyKey(t *testing.T, d deployment) {
	l := d.limiter(t, slidingwindow.PerHour(1), slidingwindow.PerDay(1))
	for _, key := range []string{"{", "}", "{}", "}{", "}:", "{a}b", "a{b}c", "\x00", "\r\n", "%7D", "ключ", string(make([]byte, 4096))} {
		assert.True(t, mustTake(t, l, key, 1).Allowed, "%.20q", key)
		assert.False(t, mustTake(t, l, key, 1).Allowed, "%.20q", key)
		require.NoError(t, l.Reset(t.Context(), key))
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

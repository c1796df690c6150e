package lease_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/lease"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

const callers = 64

// BenchmarkHotKey has 64 callers on one key whose limit they do not reach.
func BenchmarkHotKey(b *testing.B) {
	limit := slidingwindow.Limit{Name: "m", Max: 1e12, Window: time.Minute}
	hot := func(int) string { return "hot" }
	b.Run("memory/leased", func(b *testing.B) {
		store, err := lease.New(memory.New(), lease.Config{})
		require.NoError(b, err)
		run(b, store, limit, hot)
		require.NoError(b, store.Close())
	})
	b.Run("redis/raw_INCR", func(b *testing.B) {
		client := privateRedis(b)
		parallel(b, func(*rand.Rand) error { return client.Do(b.Context(), client.B().Incr().Key("hot").Build()).Error() })
	})
	b.Run("redis/unleased", func(b *testing.B) { onRedis(b, false, limit, hot) })
	b.Run("redis/leased", func(b *testing.B) { onRedis(b, true, limit, hot) })
}

// BenchmarkZipf has 64 callers on a thousand tenants, of whom some are much busier than others.
func BenchmarkZipf(b *testing.B) {
	limit := slidingwindow.Limit{Name: "m", Max: 1e12, Window: time.Minute}
	tenant := func(n int) string { return tenants[n] }
	b.Run("redis/unleased", func(b *testing.B) { onRedis(b, false, limit, tenant) })
	b.Run("redis/leased", func(b *testing.B) { onRedis(b, true, limit, tenant) })
}

var tenants = func() (names [1000]string) {
	for i := range names {
		names[i] = fmt.Sprint("tenant ", i)
	}
	return names
}()

// onRedis reports the commands and the time of Redis for each decision, too.
func onRedis(b *testing.B, leased bool, limit slidingwindow.Limit, key func(int) string) {
	client := privateRedis(b)
	redis, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: time.Minute})
	require.NoError(b, err)
	commands, cpu := usage(b, client)
	if leased {
		store, err := lease.New(redis, lease.Config{})
		require.NoError(b, err)
		run(b, store, limit, key)
		require.NoError(b, store.Close())
	} else {
		run(b, redis, limit, key)
	}
	commandsAfter, cpuAfter := usage(b, client)
	b.ReportMetric((commandsAfter-commands)/float64(b.N), "commands/op")
	b.ReportMetric((cpuAfter-cpu)*1e6/float64(b.N), "redis-us/op")
}

func run(b *testing.B, store slidingwindow.Store, limit slidingwindow.Limit, key func(int) string) {
	l := newLimiter(b, store, limit)
	parallel(b, func(random *rand.Rand) error {
		d, err := l.Allow(b.Context(), key(zipf(random)))
		if err == nil && !d.Allowed {
			err = fmt.Errorf("refused: %v", d)
		}
		return err
	})
}

// zipf is a number below 1,000: one of rank r comes with the probability of 1/r.
func zipf(random *rand.Rand) int {
	return min(len(tenants), int(math.Pow(float64(len(tenants)), random.Float64()))) - 1
}

func parallel(b *testing.B, call func(*rand.Rand) error) {
	b.ReportAllocs()
	b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		random := rand.New(rand.NewPCG(rand.Uint64(), 1)) //nolint:gosec // which tenant calls is no secret
		for pb.Next() {
			if err := call(random); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
}

func privateRedis(b *testing.B) rueidis.Client {
	b.Helper()
	server, err := redisserver.Start(b.Context())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, server.Stop()) })
	return redistest.Connect(b, server.URL())
}

// usage is the commands that Redis has run, and the seconds of CPU that it has used.
func usage(b *testing.B, client rueidis.Client) (commands, cpu float64) {
	b.Helper()
	info, err := client.Do(b.Context(), client.B().Info().Section("stats", "commandstats", "cpu").Build()).ToString()
	require.NoError(b, err)
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case strings.HasPrefix(name, "cmdstat_eval"):
			value, _, _ = strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			calls, err := strconv.ParseFloat(value, 64)
			require.NoError(b, err)
			commands += calls
		case name == "used_cpu_user", name == "used_cpu_sys":
			seconds, err := strconv.ParseFloat(value, 64)
			require.NoError(b, err)
			cpu += seconds
		}
	}
	return commands, cpu
}

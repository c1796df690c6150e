package slidingwindow_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func BenchmarkRedisStore(b *testing.B) {
	client := redistest.Client(b)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: redistest.Prefix(b, client), Timeout: 10 * time.Second})
	require.NoError(b, err)
	for name, limits := range map[string][]slidingwindow.Limit{
		"allowed": {{Name: "allowed", Max: 100_000_000, Window: time.Minute}},
		"allowed/twoLimits": {
			{Name: "minute", Max: 100_000_000, Window: time.Minute}, {Name: "hour", Max: 200_000_000, Window: time.Hour},
		},
		"refused": {{Name: "refused", Max: 1, Window: time.Hour}},
	} {
		b.Run(name, func(b *testing.B) { benchmark(b, newLimiter(b, store, limits...)) })
	}
}

// benchmark makes calls for 1,000 keys from many goroutines.
func benchmark(b *testing.B, l *slidingwindow.Limiter) {
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%d", i)
	}
	ctx := b.Context()
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := int(next.Add(7919))
		for ; pb.Next(); i++ {
			if _, err := l.Allow(ctx, keys[i%len(keys)]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

package memory_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// BenchmarkAllow has a goroutine for each processor ask for 1,000 keys in turn.
func BenchmarkAllow(b *testing.B) {
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = "user:" + strconv.Itoa(i)
	}
	for _, bench := range []struct {
		name   string
		limits []slidingwindow.Limit
	}{
		{"steady", []slidingwindow.Limit{{Name: "a", Max: 1_000_000_000, Window: 10 * time.Millisecond}}}, // hits leave as others come
		{"refused", []slidingwindow.Limit{slidingwindow.PerHour(1)}},
		{"two_limits", []slidingwindow.Limit{
			{Name: "a", Max: 1_000_000_000, Window: 10 * time.Millisecond}, {Name: "b", Max: 1_000_000_000, Window: 20 * time.Millisecond},
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			l := newLimiter(b, newMemoryStore(b, memory.Config{}), bench.limits...)
			ctx := b.Context()
			for range 20 { // the logs grow to their size
				for _, key := range keys {
					_, _ = l.Allow(ctx, key)
				}
			}
			b.ReportAllocs()
			var started atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for i := int(started.Add(1)) * len(keys) / 2; pb.Next(); i++ {
					_, _ = l.Allow(ctx, keys[i%len(keys)])
				}
			})
		})
	}
}

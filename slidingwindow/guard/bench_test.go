package guard_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// What a guard costs: a memory store by itself, and behind one.
func BenchmarkStore(b *testing.B) {
	limit := slidingwindow.Limit{Name: "allowed", Max: 1000, Window: time.Millisecond}
	for name, guarded := range map[string]bool{"unguarded": false, "guarded": true} {
		b.Run(name, func(b *testing.B) {
			var store slidingwindow.Store = newMemoryStore(b, memory.Config{})
			if guarded {
				store = newGuard(b, store, guard.Config{})
			}
			l := newLimiter(b, store, limit)
			var next atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				key := fmt.Sprint("user:", next.Add(1))
				for pb.Next() {
					if _, err := l.Allow(b.Context(), key); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

package lease_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/lease"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func BenchmarkHotKey(b *testing.B) {
	inner, err := memory.NewWithConfig(memory.Config{})
	require.NoError(b, err)
	store, err := lease.New(inner, lease.Config{})
	require.NoError(b, err)
	defer func() { require.NoError(b, store.Close()) }()
	l, err := slidingwindow.New(store, slidingwindow.Limit{Max: 1e12, Window: time.Minute})
	require.NoError(b, err)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if d, err := l.Allow(b.Context(), "hot"); err != nil || !d.Allowed {
				b.Error(err)
			}
		}
	})
}

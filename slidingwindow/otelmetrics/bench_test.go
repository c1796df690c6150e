package otelmetrics_test

import (
	"testing"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/otelmetrics"
)

// What measuring costs: the SDK's instruments included, beside a limiter that nobody observes.
func BenchmarkAllow(b *testing.B) {
	for _, bench := range []struct {
		name  string
		limit slidingwindow.Limit
	}{
		{"allowed", slidingwindow.Limit{Name: "allowed", Max: 1_000_000_000, Window: 10 * time.Millisecond}},
		{"refused", slidingwindow.Limit{Name: "refused", Max: 1, Window: time.Hour}},
	} {
		plain := slidingwindow.MustNew(memory.New(), bench.limit)
		for name, l := range map[string]*slidingwindow.Limiter{
			"unobserved": plain, "otel": plain.WithObserver(measure(b, otelmetrics.Config{}).observer),
		} {
			b.Run(bench.name+"/"+name, func(b *testing.B) {
				ctx := b.Context()
				b.ReportAllocs()
				for b.Loop() {
					_, _ = l.Allow(ctx, "k")
				}
			})
		}
	}
}

package otelmetrics_test

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/otelmetrics"
)

func ExampleNew() {
	ctx := context.Background()
	reader := metric.NewManualReader() // a program has an exporter in its place
	observer, err := otelmetrics.New(otelmetrics.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})
	if err != nil {
		fmt.Println(err)
		return
	}
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "api", Max: 2, Window: time.Minute}).WithObserver(observer)
	for range 3 {
		_, _ = limiter.Allow(ctx, "ada")
	}

	var all metricdata.ResourceMetrics
	_ = reader.Collect(ctx, &all)
	for _, measured := range all.ScopeMetrics[0].Metrics {
		if decisions, ok := measured.Data.(metricdata.Sum[int64]); ok && measured.Name == "ratelimit.decisions" {
			for _, point := range decisions.DataPoints {
				result, _ := point.Attributes.Value("ratelimit.result")
				fmt.Println(result.AsString(), point.Value)
			}
		}
	}
	// Unordered output:
	// allowed 2
	// refused 1
}

// observed returns a limiter over the store of a configuration, and measures all there is.
func observed(ctx context.Context, cfg *config.Config, provider *metric.MeterProvider) (*slidingwindow.Limiter, error) {
	observer, err := otelmetrics.New(otelmetrics.Config{MeterProvider: provider})
	if err != nil {
		return nil, err
	}
	cfg.Redis.OnBatch = observer.Batch // before Open; for the size of batches only
	store, err := cfg.Redis.Open(ctx)
	if err != nil {
		return nil, err
	}
	if err := observer.ObserveStore(store); err != nil { // a guard.Store will do, too
		return nil, err
	}
	limiter, err := slidingwindow.New(store, slidingwindow.PerMinute(100))
	if err != nil {
		return nil, err
	}
	return limiter.WithObserver(observer), nil
}

func ExampleObserver() {
	ctx := context.Background()
	cfg, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=memory://"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	limiter, err := observed(ctx, cfg, metric.NewMeterProvider())
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := limiter.Allow(ctx, "ada")
	fmt.Println(d.Remaining, err)
	// Output: 99 <nil>
}

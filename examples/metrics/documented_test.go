package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	otelmetric "go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/otelmetrics"
)

// measured is the code of docs/operations.md.
func measured(ctx context.Context, cfg *config.Config, provider otelmetric.MeterProvider) (*slidingwindow.Limiter, error) {
	observer, err := otelmetrics.New(otelmetrics.Config{MeterProvider: provider})
	if err != nil {
		return nil, err
	}
	cfg.Redis.OnBatch = observer.Batch // optional, before Open
	store, err := cfg.Redis.Open(ctx)
	if err != nil {
		return nil, err
	}
	if err := observer.ObserveStore(store); err != nil { // optional, of a config.Store or a guard.Store
		return nil, err
	}
	limiter, err := slidingwindow.New(store, slidingwindow.PerMinute(100))
	if err != nil {
		return nil, err
	}
	return limiter.WithObserver(observer), nil
}

func TestDocumentedCodeMeasures(t *testing.T) {
	cfg, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=memory://"}})
	require.NoError(t, err)
	reader := metric.NewManualReader()
	limiter, err := measured(t.Context(), cfg, metric.NewMeterProvider(metric.WithReader(reader)))
	require.NoError(t, err)
	_, err = limiter.Allow(t.Context(), "k")
	require.NoError(t, err)
	var told metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &told))
	var names []string
	for _, scope := range told.ScopeMetrics {
		for _, m := range scope.Metrics {
			names = append(names, m.Name)
		}
	}
	require.Contains(t, names, "ratelimit.decisions")
	require.Contains(t, names, "ratelimit.store.available")
}

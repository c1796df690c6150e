package otelmetrics_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/otelmetrics"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// measured reads what an Observer has measured.
type measured struct {
	observer *otelmetrics.Observer
	reader   *metric.ManualReader
}

func measure(t testing.TB, config otelmetrics.Config) measured {
	t.Helper()
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	config.MeterProvider = provider
	observer, err := otelmetrics.New(config)
	require.NoError(t, err)
	return measured{observer, reader}
}

// read returns all instruments by name.
func (m measured) read(t testing.TB) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, m.reader.Collect(t.Context(), &all))
	instruments := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, instrument := range scope.Metrics {
			instruments[instrument.Name] = instrument
		}
	}
	return instruments
}

// sums returns the value, or of a histogram the count, for each set of attributes, such as "ratelimit.policy=api ratelimit.result=off".
func (m measured) sums(t testing.TB, name string) map[string]int64 {
	t.Helper()
	sums := map[string]int64{}
	switch data := m.read(t)[name].Data.(type) {
	case metricdata.Sum[int64]:
		for _, point := range data.DataPoints {
			sums[text(point.Attributes)] = point.Value
		}
	case metricdata.Gauge[int64]:
		for _, point := range data.DataPoints {
			sums[text(point.Attributes)] = point.Value
		}
	case metricdata.Histogram[float64]:
		for _, point := range data.DataPoints {
			sums[text(point.Attributes)] = int64(point.Count)
		}
	case nil:
	default:
		require.Fail(t, "unknown data", "%T", data)
	}
	return sums
}

func text(attributes attribute.Set) (text string) {
	for _, a := range attributes.ToSlice() {
		text += fmt.Sprintf(" %s=%s", a.Key, a.Value.String())
	}
	return text[min(1, len(text)):]
}

func newRedisStore(t testing.TB, client rueidis.Client, prefix string) *slidingwindow.RedisStore {
	t.Helper()
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: prefix, Timeout: 30 * time.Second})
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return store
}

func call(t testing.TB, l *slidingwindow.Limiter, key string) slidingwindow.Decision {
	t.Helper()
	d, err := l.Allow(t.Context(), key)
	require.NoError(t, err)
	return d
}

func TestEachModeCounts(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	for name, store := range map[string]slidingwindow.Store{"redis": newRedisStore(t, client, redistest.Prefix(t, client)), "memory": memory.New()} {
		m := measure(t, otelmetrics.Config{})
		l := slidingwindow.MustNew(store, slidingwindow.Limit{Name: "api", Max: 4, Window: time.Hour}).WithObserver(m.observer)
		for range 3 {
			call(t, l, "k")
		}
		d, err := l.AllowN(t.Context(), "k", 4)
		require.NoError(t, err)
		require.False(t, d.Allowed)
		l.SetMode(slidingwindow.ModeShadow)
		_, err = l.AllowN(t.Context(), "k", 3)
		require.NoError(t, err)
		l.SetMode(slidingwindow.ModeOff)
		call(t, l, "k")

		const policy = "ratelimit.policy=api ratelimit.result="
		assert.Equal(t, map[string]int64{policy + "allowed": 3, policy + "refused": 1, policy + "shadow": 1, policy + "off": 1},
			m.sums(t, "ratelimit.decisions"), name)
		assert.Equal(t, map[string]int64{policy + "allowed": 3, policy + "refused": 4, policy + "shadow": 3, policy + "off": 1},
			m.sums(t, "ratelimit.units"), name)
		assert.Equal(t, m.sums(t, "ratelimit.decisions"), m.sums(t, "ratelimit.decision.duration"), name)
		assert.Equal(t, map[string]int64{policy + "refused": 1, policy + "shadow": 1}, m.sums(t, "ratelimit.limited.episodes"), name)
		assert.Equal(t, map[string]int64{"ratelimit.policy=api": 5}, m.sums(t, "ratelimit.utilization"), "off has none")
		used := m.read(t)["ratelimit.utilization"].Data.(metricdata.Histogram[float64]).DataPoints[0]
		assert.InDelta(t, 0.25+0.5+0.75+0.75+0.75, used.Sum, 1e-9, name)
	}
}

func TestEachLimitOfSeveralHasItsUnitsAndItsUtilization(t *testing.T) {
	t.Parallel()
	m := measure(t, otelmetrics.Config{})
	l := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "requests", Max: 10, Window: time.Hour},
		slidingwindow.Limit{Name: "tokens", Max: 1000, Window: time.Hour}).WithObserver(m.observer)
	_, err := l.AllowCost(t.Context(), "k", slidingwindow.Cost{"requests": 1, "tokens": 900})
	require.NoError(t, err)
	_, err = l.AllowCost(t.Context(), "k", slidingwindow.Cost{"requests": 1, "tokens": 200})
	require.NoError(t, err)
	l.SetMode(slidingwindow.ModeOff)
	_, err = l.AllowN(t.Context(), "k", 5)
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{
		"ratelimit.policy=requests ratelimit.result=allowed": 1, "ratelimit.policy=tokens ratelimit.result=allowed": 900,
		"ratelimit.policy=requests ratelimit.result=refused": 1, "ratelimit.policy=tokens ratelimit.result=refused": 200,
		"ratelimit.policy=requests ratelimit.result=off": 5, "ratelimit.policy=tokens ratelimit.result=off": 5,
	}, m.sums(t, "ratelimit.units"))
	assert.Equal(t, map[string]int64{
		"ratelimit.policy=requests ratelimit.result=allowed": 1, "ratelimit.policy=tokens ratelimit.result=refused": 1,
		"ratelimit.policy=requests,tokens ratelimit.result=off": 1,
	}, m.sums(t, "ratelimit.decisions"), "the binding limit, or all")
	assert.Equal(t, map[string]int64{"ratelimit.policy=requests": 2, "ratelimit.policy=tokens": 2}, m.sums(t, "ratelimit.utilization"))
}

func TestARefusedKeyIsOneEpisode(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	m := measure(t, otelmetrics.Config{})
	l := slidingwindow.MustNew(newRedisStore(t, client, redistest.Prefix(t, client)), slidingwindow.Limit{Name: "api", Max: 1, Window: time.Hour}).WithObserver(m.observer)
	for _, key := range []string{"a", "b"} {
		require.True(t, call(t, l, key).Allowed)
		for range 5 { // some of them without asking Redis
			require.False(t, call(t, l, key).Allowed)
		}
	}
	assert.Contains(t, m.sums(t, "ratelimit.decisions"), "ratelimit.policy=api ratelimit.result=cached")
	assert.Equal(t, map[string]int64{"ratelimit.policy=api ratelimit.result=refused": 2}, m.sums(t, "ratelimit.limited.episodes"))
}

func TestWaitersAreCountedWhileTheyWait(t *testing.T) {
	t.Parallel()
	m := measure(t, otelmetrics.Config{})
	l := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "line", Max: 1, Window: time.Hour}).WithObserver(m.observer)
	require.NoError(t, l.Wait(t.Context(), "k"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Wait(ctx, "k") }()
	require.Eventually(t, func() bool { return m.sums(t, "ratelimit.waiters")["ratelimit.policy=line"] == 1 }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	assert.Equal(t, map[string]int64{"ratelimit.policy=line": 0}, m.sums(t, "ratelimit.waiters"))
	assert.Equal(t, map[string]int64{"error.type=canceled ratelimit.policy=line": 1}, m.sums(t, "ratelimit.wait.duration"))
	assert.Equal(t, map[string]int64{"ratelimit.policy=line": -1}, m.sums(t, "ratelimit.settled.units"), "the place was given back")
	assert.Equal(t, map[string]int64{"ratelimit.policy=line ratelimit.result=allowed": 2}, m.sums(t, "ratelimit.decisions"))
}

func TestSettledUnitsAreTheDifference(t *testing.T) {
	t.Parallel()
	m := measure(t, otelmetrics.Config{})
	l := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "tokens", Max: 1000, Window: time.Hour}).WithObserver(m.observer)
	d, err := l.AllowN(t.Context(), "k", 500)
	require.NoError(t, err)
	require.NoError(t, l.Settle(t.Context(), "k", d, slidingwindow.Cost{"tokens": 380}))
	assert.Equal(t, map[string]int64{"ratelimit.policy=tokens": -120}, m.sums(t, "ratelimit.settled.units"))
	require.NoError(t, l.Charge(t.Context(), "k", slidingwindow.Cost{"tokens": 20}))
	assert.Equal(t, map[string]int64{"ratelimit.policy=tokens": -100}, m.sums(t, "ratelimit.settled.units"))
	assert.Equal(t, map[string]int64{"ratelimit.policy=tokens ratelimit.result=allowed": 500}, m.sums(t, "ratelimit.units"))
}

// Each call is in one batch.
func TestBatchesHaveAllCalls(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	m := measure(t, otelmetrics.Config{})
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{
		Prefix: redistest.Prefix(t, client), Timeout: 30 * time.Second, OnBatch: m.observer.Batch,
	})
	require.NoError(t, err)
	t.Cleanup(store.Close)
	l := slidingwindow.MustNew(store, slidingwindow.Limit{Name: "api", Max: 1_000_000, Window: time.Hour})
	sizes := func() metricdata.HistogramDataPoint[int64] {
		points := m.read(t)["ratelimit.batch.size"].Data.(metricdata.Histogram[int64]).DataPoints
		require.Len(t, points, 1)
		return points[0]
	}
	call(t, l, "lone")
	assert.EqualValues(t, 1, sizes().Count)
	calls := int64(1)
	require.Eventually(t, func() bool { // until some have shared a command
		var all sync.WaitGroup
		for n := range 200 {
			all.Go(func() { _, err := l.Allow(t.Context(), fmt.Sprint(n)); assert.NoError(t, err) })
		}
		all.Wait()
		calls += 200
		assert.Equal(t, calls, sizes().Sum)
		return sizes().Count < uint64(calls)
	}, time.Minute, time.Millisecond)
}

// A Redis that ends is seen in the errors, and in the store that is not available.
func TestAnOutageIsSeen(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	redis, err := slidingwindow.NewRedisStore(redistest.Connect(t, server.URL()), slidingwindow.RedisConfig{Timeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(redis.Close)
	guarded, err := guard.New(redis, guard.Config{})
	require.NoError(t, err)
	m := measure(t, otelmetrics.Config{})
	require.NoError(t, m.observer.ObserveStore(guarded))
	l := slidingwindow.MustNew(guarded, slidingwindow.Limit{Name: "api", Max: 1_000_000, Window: time.Hour}).WithObserver(m.observer)
	require.Eventually(t, func() bool { d, err := l.Allow(t.Context(), "k"); return err == nil && d.Allowed }, time.Minute, time.Millisecond)
	assert.Equal(t, map[string]int64{"": 1}, m.sums(t, "ratelimit.store.available"))

	require.NoError(t, server.Stop())
	require.Eventually(t, func() bool {
		_, err := l.Allow(t.Context(), "k")
		return errors.Is(err, slidingwindow.ErrStoreUnavailable) && m.sums(t, "ratelimit.store.available")[""] == 0
	}, time.Minute, 10*time.Millisecond)
	assert.NotZero(t, m.sums(t, "ratelimit.decisions")["error.type=store_unavailable ratelimit.policy=api"])
}

func TestTheCurrentSpanGetsAttributesAndNoSpanIsMade(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	tracer := trace.NewTracerProvider(trace.WithSpanProcessor(spans)).Tracer("test")
	m := measure(t, otelmetrics.Config{})
	l := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "api", Max: 1, Window: time.Hour}).WithObserver(m.observer)
	for _, want := range []string{"allowed", "refused"} {
		ctx, span := tracer.Start(t.Context(), "request")
		_, err := l.Allow(ctx, "secret key")
		require.NoError(t, err)
		span.End()
		ended := spans.Ended()
		assert.Equal(t, []attribute.KeyValue{attribute.String("ratelimit.policy", "api"), attribute.String("ratelimit.result", want)},
			ended[len(ended)-1].Attributes())
	}
	assert.Len(t, spans.Ended(), 2)
}

func TestInstrumentsHaveTheirUnits(t *testing.T) {
	t.Parallel()
	guarded, err := guard.New(memory.New(), guard.Config{})
	require.NoError(t, err)
	m := measure(t, otelmetrics.Config{})
	require.NoError(t, m.observer.ObserveStore(guarded))
	m.observer.Batch(1)
	l := slidingwindow.MustNew(guarded, slidingwindow.Limit{Name: "api", Max: 1, Window: 10 * time.Millisecond}).WithObserver(m.observer)
	require.Eventually(t, func() bool { // until one had to wait
		require.NoError(t, l.Wait(t.Context(), "k"))
		return len(m.sums(t, "ratelimit.wait.duration")) > 0
	}, time.Minute, time.Microsecond)
	require.NoError(t, l.Charge(t.Context(), "k", slidingwindow.Cost{"api": 1}))
	hour, err := l.WithLimits(slidingwindow.Limit{Name: "hour", Max: 1, Window: time.Hour})
	require.NoError(t, err)
	call(t, hour, "k")
	call(t, hour, "k")
	units := map[string]string{}
	for name, instrument := range m.read(t) {
		units[name] = instrument.Unit
		assert.NotEmpty(t, instrument.Description, name)
	}
	assert.Equal(t, map[string]string{
		"ratelimit.decisions": "{decision}", "ratelimit.units": "{unit}", "ratelimit.decision.duration": "s", "ratelimit.utilization": "1",
		"ratelimit.limited.episodes": "{episode}", "ratelimit.wait.duration": "s", "ratelimit.waiters": "{waiter}",
		"ratelimit.settled.units": "{unit}", "ratelimit.batch.size": "{call}", "ratelimit.store.available": "",
	}, units)
}

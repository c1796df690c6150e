package otelmetrics

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Observer is a slidingwindow.Observer. Make it with [New]. One is enough for all limiters of a
// program. It is safe for concurrent use.
type Observer struct {
	instruments
	meter    metric.Meter
	labels   labels
	refusing *episodes
}

var _ slidingwindow.Observer = (*Observer)(nil)

// New returns an Observer. Its error is that of the MeterProvider, which did not make an instrument.
func New(config Config) (*Observer, error) {
	provider := config.MeterProvider
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	meter := provider.Meter(scope)
	made, err := newInstruments(meter)
	if err != nil {
		return nil, err
	}
	return &Observer{instruments: made, meter: meter, refusing: newEpisodes()}, nil
}

// ObserveStore measures ratelimit.store.available: store, a config.Store or a guard.Store, is asked
// whenever metrics are collected. Call it once, for one store of a program. Its error is that of the
// MeterProvider.
func (o *Observer) ObserveStore(store interface{ Available() bool }) error {
	_, err := o.meter.Int64ObservableGauge("ratelimit.store.available",
		metric.WithDescription("1 if the store is asked for decisions, 0 in an outage."),
		metric.WithInt64Callback(func(_ context.Context, gauge metric.Int64Observer) error {
			var available int64
			if store.Available() {
				available = 1
			}
			gauge.Observe(available)
			return nil
		}))
	return err
}

// Batch measures ratelimit.batch.size. It is for OnBatch of config.Redis or of
// slidingwindow.RedisConfig.
func (o *Observer) Batch(calls int) { o.batch.Record(context.Background(), int64(calls)) }

// Decided implements slidingwindow.Observer.
func (o *Observer) Decided(ctx context.Context, d slidingwindow.Decided) {
	is := label{policy: policyOf(&d), result: d.Decision.Reason}
	if d.Err != nil {
		is.failure = failureOf(d.Err)
	}
	options := o.labels.of(is)
	o.decisions.Add(ctx, 1, options.add...)
	o.duration.Record(ctx, d.Duration.Seconds(), options.record...)
	if len(d.Request.Limits) == 1 {
		o.countUnits(ctx, is, unitsOf(&d, 0, d.Decision.Granted))
		o.measure(ctx, &d.Decision.Limit, d.Decision.Remaining)
	} else {
		o.decidedOfSeveral(ctx, is, &d)
	}
	if refused(&d.Decision) && o.refusing.begins(is, d.KeyHash, time.Now(), d.Decision.Limit.Window) {
		o.episodes.Add(ctx, 1, options.add...)
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(options.attributes...)
	}
}

func (o *Observer) decidedOfSeveral(ctx context.Context, is label, d *slidingwindow.Decided) {
	statuses := d.Decision.Statuses()
	for i := range d.Request.Limits {
		var granted int64
		if i < len(statuses) {
			granted = statuses[i].Granted
			o.measure(ctx, &statuses[i].Limit, statuses[i].Remaining)
		}
		is.policy = d.Request.Limits[i].Name
		o.countUnits(ctx, is, unitsOf(d, i, granted))
	}
}

func (o *Observer) countUnits(ctx context.Context, of label, units int64) {
	if units > 0 {
		o.units.Add(ctx, units, o.labels.of(of).add...)
	}
}

// measure records how much of a limit is used. A limit that was not looked at, and one that
// allows nothing, has no such share.
func (o *Observer) measure(ctx context.Context, limit *slidingwindow.Limit, remaining int64) {
	if limit.Max > 0 {
		used := float64(limit.Max-remaining) / float64(limit.Max)
		o.utilization.Record(ctx, used, o.labels.of(label{policy: limit.Name}).record...)
	}
}

// Waits implements slidingwindow.Observer.
func (o *Observer) Waits(ctx context.Context, limit slidingwindow.Limit) (ended func(error)) {
	began := time.Now()
	line := o.labels.of(label{policy: limit.Name})
	o.waiters.Add(ctx, 1, line.add...)
	return func(err error) {
		o.waiters.Add(ctx, -1, line.add...)
		is := label{policy: limit.Name}
		if err != nil {
			is.failure = failureOf(err)
		}
		o.wait.Record(ctx, time.Since(began).Seconds(), o.labels.of(is).record...)
	}
}

// Settled implements slidingwindow.Observer.
func (o *Observer) Settled(ctx context.Context, s slidingwindow.Settled) {
	is := label{policy: s.Limit.Name}
	if s.Err != nil {
		is.failure = failureOf(s.Err)
	}
	o.settled.Add(ctx, s.Units, o.labels.of(is).add...)
}

// policyOf is the name of the binding limit, or those of all.
func policyOf(d *slidingwindow.Decided) string {
	limits := d.Request.Limits
	switch {
	case d.Decision.Limit.Name != "":
		return d.Decision.Limit.Name
	case len(limits) == 1:
		return limits[0].Name
	}
	names := make([]string, len(limits))
	for i := range limits {
		names[i] = limits[i].Name
	}
	return strings.Join(names, ",")
}

// unitsOf is what was taken of a limit, or asked for if nothing was.
func unitsOf(d *slidingwindow.Decided, limit int, granted int64) int64 {
	if granted > 0 {
		return granted
	}
	return d.Request.CostOf(limit)
}

// refused tells whether the limits refused the call, also if the call went on all the same.
func refused(d *slidingwindow.Decision) bool { return d.RetryAfter > 0 }

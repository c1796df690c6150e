// Package otelmetrics measures the calls of a slidingwindow.Limiter with OpenTelemetry: an
// [Observer] for slidingwindow's Limiter.WithObserver. It is a module of its own, so that who
// does not use it inherits none of its dependencies.
//
//	observer, err := otelmetrics.New(otelmetrics.Config{})
//	cfg.Redis.OnBatch = observer.Batch // before cfg.Redis.Open
//	err = observer.ObserveStore(store)
//	limiter = limiter.WithObserver(observer)
//
// # Instruments
//
// OpenTelemetry has no convention for rate limits yet; when it has one, names may follow it.
//
//	ratelimit.decisions          counter        {decision}  policy, result or error.type  calls that were answered or failed
//	ratelimit.units              counter        {unit}      policy, result or error.type  units that they took, or asked for if they took none
//	ratelimit.decision.duration  histogram      s           policy, result or error.type  how long the answer took; no wait is in it
//	ratelimit.utilization        histogram      1           policy                        used/Max of the key of each call, after it
//	ratelimit.limited.episodes   counter        {episode}   policy, result                keys that began to be refused
//	ratelimit.wait.duration      histogram      s           policy, error.type            how long callers of Wait slept, of those that had to
//	ratelimit.waiters            up-down count  {waiter}    policy                        callers of Wait that sleep
//	ratelimit.settled.units      up-down count  {unit}      policy, error.type            units given back (below 0) or added by Settle, Refund and Charge
//	ratelimit.batch.size         histogram      {call}                                    calls that are decided together by Redis; only with Batch
//	ratelimit.store.available    gauge                                                    1 if the store is asked for decisions, 0 in an outage; only with ObserveStore
//
// # Attributes
//
// No attribute is a key, or made of one.
//
//   - ratelimit.policy is the name of a limit. Decisions and their durations have that of the
//     binding limit, or the names of all limits, joined by a comma, where no limit was looked at
//     (off, fail-open, errors). Units and the utilization have that of each limit.
//   - ratelimit.result is the slidingwindow.Reason, such as allowed, refused, cached, shadow or off.
//     A store that stands in for another one decides by fallback, whatever it decides.
//   - error.type is there if there was no decision: store_unavailable, call_rejected,
//     foreign_data, unsupported, canceled or deadline_exceeded (the caller's context), or _OTHER.
//
// The span of the context, if there is one that records, gets the attributes of the decision.
// No span is made.
package otelmetrics

import (
	"errors"

	"go.opentelemetry.io/otel/metric"
)

const scope = "github.com/seed-e8747a6b/ratelimit/slidingwindow/otelmetrics"

// Config has the settings of an [Observer]. The zero value is valid.
type Config struct {
	// MeterProvider makes the instruments. nil stands for otel.GetMeterProvider(), whose
	// delegate may be set later.
	MeterProvider metric.MeterProvider
}

// instruments are those of the package's documentation, in its order.
type instruments struct {
	decisions   metric.Int64Counter
	units       metric.Int64Counter
	duration    metric.Float64Histogram
	utilization metric.Float64Histogram
	episodes    metric.Int64Counter
	wait        metric.Float64Histogram
	waiters     metric.Int64UpDownCounter
	settled     metric.Int64UpDownCounter
	batch       metric.Int64Histogram
}

var (
	durationBounds    = []float64{0.00001, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1}
	utilizationBounds = []float64{0.1, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1}
	batchBounds       = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256}
	waitBounds        = []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600}
)

func newInstruments(meter metric.Meter) (i instruments, err error) {
	var errs [9]error
	i.decisions, errs[0] = meter.Int64Counter("ratelimit.decisions", metric.WithUnit("{decision}"),
		metric.WithDescription("Calls that a rate limiter answered, or could not decide."))
	i.units, errs[1] = meter.Int64Counter("ratelimit.units", metric.WithUnit("{unit}"),
		metric.WithDescription("Units that calls took, or asked for if they took none."))
	i.duration, errs[2] = meter.Float64Histogram("ratelimit.decision.duration", metric.WithUnit("s"),
		metric.WithDescription("How long an answer took."), metric.WithExplicitBucketBoundaries(durationBounds...))
	i.utilization, errs[3] = meter.Float64Histogram("ratelimit.utilization", metric.WithUnit("1"),
		metric.WithDescription("The share of Max that the key of a call has used, after it."), metric.WithExplicitBucketBoundaries(utilizationBounds...))
	i.episodes, errs[4] = meter.Int64Counter("ratelimit.limited.episodes", metric.WithUnit("{episode}"),
		metric.WithDescription("Keys that were refused for the first time in a while."))
	i.wait, errs[5] = meter.Float64Histogram("ratelimit.wait.duration", metric.WithUnit("s"),
		metric.WithDescription("How long callers slept until their turn."), metric.WithExplicitBucketBoundaries(waitBounds...))
	i.waiters, errs[6] = meter.Int64UpDownCounter("ratelimit.waiters", metric.WithUnit("{waiter}"),
		metric.WithDescription("Callers that sleep until their turn."))
	i.settled, errs[7] = meter.Int64UpDownCounter("ratelimit.settled.units", metric.WithUnit("{unit}"),
		metric.WithDescription("Units that were added afterwards, or below 0 given back."))
	i.batch, errs[8] = meter.Int64Histogram("ratelimit.batch.size", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that are decided together by Redis."), metric.WithExplicitBucketBoundaries(batchBounds...))
	return i, errors.Join(errs[:]...)
}

package slidingwindow

import (
	"context"
	"hash/maphash"
	"time"
)

// Observer is told what the calls of a [Limiter] came to, for metrics and the like; see
// [Limiter.WithObserver]. Package otelmetrics, a module of its own, has one for OpenTelemetry.
//
// It is on the Limiter and not on the [Store], because the Limiter gives the answer: a Store
// hears nothing of [ModeOff], and does not know what [ModeShadow] makes of a refusal.
//
// Its methods are called in the goroutine of the call, before that returns, so they must be
// quick. They must be safe for concurrent use. None is told the key.
type Observer interface {
	// Decided is told of each call that was answered, or that the store could not decide: of
	// Allow, AllowCost, AllowAtMost, Reserve and Wait, and what is like them. It is not told of Peek, which
	// takes nothing, and not of calls that are refused as mistakes, such as one of 0 units.
	Decided(ctx context.Context, d Decided)

	// Waits is told that a caller of [Limiter.Wait] begins to sleep until its turn, in the line of
	// the limit. What it returns, unless nil, is called when the caller goes on: with nil, or
	// the error if its context ended first. Calls that need not wait are not told of.
	Waits(ctx context.Context, limit Limit) (ended func(error))

	// Settled is told of each limit for which Refund, Settle or Charge asked the store to change what is
	// counted, and of each place in line that was given back.
	Settled(ctx context.Context, s Settled)
}

// Decided is a call of a [Limiter] and its answer.
type Decided struct {
	// Request is what was asked, with an empty Key. The slices must not be changed.
	Request Request

	// KeyHash tells keys apart within this process, and tells nothing else of them. It is 0 if
	// the mode is ModeOff.
	KeyHash uint64

	// Decision is the answer, after the mode was applied. It is the zero Decision if Err is set.
	Decision Decision

	// Err is why there is no Decision: that of the Store.
	Err error

	// Duration is how long the answer took. The sleep of Wait is not in it.
	Duration time.Duration
}

// Settled is a change of what is counted of one limit.
type Settled struct {
	// Limit is the limit whose units change.
	Limit Limit

	// Units is the difference: below 0 if units were given back, above 0 if more were used than
	// were taken. The store does not tell whether they had left the window by then, in which
	// case nothing changed.
	Units int64

	// Err is nil, or why it was not done, or may not have been.
	Err error
}

// WithObserver returns a Limiter of the same limits that tells observer of its calls, in place of
// any observer that l has; nil is none. The two share their [Mode], as with
// [Limiter.WithLimits], which keeps the observer. A Limiter without one does nothing for it.
func (l *Limiter) WithObserver(observer Observer) *Limiter {
	observed := *l
	observed.observer = observer
	return &observed
}

// Observer returns who is told of the calls, nil if nobody is: for an adapter that asks nothing of
// a Limiter while its [Mode] is [ModeOff].
func (l *Limiter) Observer() Observer { return l.observer }

// tellDecided tells the observer of a call that began then.
func (l *Limiter) tellDecided(ctx context.Context, began time.Time, req *Request, d *Decision, err error) {
	told := Decided{Request: *req, Decision: *d, Err: err, Duration: time.Since(began)}
	if d.Reason != ReasonOff {
		told.KeyHash = maphash.String(keySeed, req.Key)
	}
	told.Request.Key = ""
	l.observer.Decided(ctx, told)
}

// tellSettled tells the observer that the call of d is to have used units; nil is none.
func (l *Limiter) tellSettled(ctx context.Context, d *Decision, units []int64, err error) {
	for i, status := range d.Statuses() {
		told := Settled{Limit: status.Limit, Units: -status.Granted, Err: err}
		if units != nil {
			told.Units += units[i]
		}
		if status.Receipt != 0 && told.Units != 0 {
			l.observer.Settled(ctx, told)
		}
	}
}

// tellCharged tells the observer of what was counted without asking.
func (l *Limiter) tellCharged(ctx context.Context, costs []int64, err error) {
	for i, units := range costs {
		if units > 0 {
			l.observer.Settled(ctx, Settled{Limit: l.limits[i], Units: units, Err: err})
		}
	}
}

package slidingwindow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Refund gives back exactly the units that the call of d took from key, as if that call
// had never been made: for a login that succeeded, a job that found nothing to do. They can be
// used again at once, in every process that shares the store.
//
// Refund a Decision once. There is nothing to give back, and no error, if d was refused, has
// been refunded or settled before, or took units that have left the window or were reset. Redis knows a call
// by its microsecond and its units: to refund twice can give back another call's units, if that
// one was given the same microsecond in between, as after the clock was set back, or as a place in line. key must be
// the key of the call, otherwise the error is [ErrInvalidKey], and d as the call returned it,
// otherwise [ErrDecisionChanged]. Any Limiter over the same
// store can refund, in the process that made the call.
//
// The end of ctx does not keep it from being done: the client that hangs up is a common reason
// for a refund. It is bounded by the store's timeout, and by 5 seconds. The other errors are
// [ErrStoreUnavailable] and [ErrForeignData]: the units may then have been
// given back or not, and it is safe to try again, except for a place in line (Decision.Delay). Like Peek it is tried again until the
// store's timeout while Redis cannot be reached, except for such a place.
func (l *Limiter) Refund(ctx context.Context, key string, d Decision) error {
	return l.settle(ctx, key, d, nil)
}

// Settle replaces what the call of d took from key by what was really used, of each limit that
// cost names: an estimate of tokens by their number. A limit that it does not name keeps what the
// call took; 0 gives it back. The units keep the time at which they were taken. More than
// the call took may pass Max: nothing is refused now, and later calls wait until it has left the
// window. Settling after the window counts nothing.
//
// Settle a Decision once: a second time changes nothing, be it with another cost. There is nothing to settle, and no
// error, if d took nothing, as in shadow mode. A cost that is negative, of a limit that d does not
// have, or above 0 of one that d took nothing of, is [ErrInvalidCost]; [Limiter.Charge] counts
// what was not taken before. All else is as with Refund.
//
// A process that ends before it settles leaves what it took in the log until it has left the
// window: one minute's worth of an estimate with a Window of a minute, a day's with that of a day. So take
// estimates under short Windows, and Charge long ones afterwards.
func (l *Limiter) Settle(ctx context.Context, key string, d Decision, cost Cost) error {
	units, err := cost.settles(d)
	if err != nil {
		return err
	}
	return l.settle(ctx, key, d, units)
}

// Charge counts what is known only after it was used, such as the tokens of an answer. It refuses
// nothing: it may pass Max, and later calls wait until that has left the window. A limit that
// cost does not name, or with 0, is not charged. Charge once: it is not safe to try again after
// an error.
//
// As with Refund, the end of ctx does not keep it from being done. Its errors are those of
// AllowCost, but that any cost up to 999,999,999,999,999 is taken, and one of nothing does nothing. While
// the limiter is off nothing is counted.
func (l *Limiter) Charge(ctx context.Context, key string, cost Cost) error {
	if l.store == nil {
		return errNotMade
	}
	costs, err := cost.of(l.limits)
	if err != nil {
		return err
	}
	if key == "" {
		return errEmptyKey
	}
	if slices.Max(costs) == 0 {
		return nil
	}
	boundless := slices.Clone(l.limits)
	for i := range boundless {
		boundless[i].Max = maxUnits
	}
	detached, cancel := detach(ctx)
	defer cancel()
	var d Decision
	err = l.decide(detached, &Request{Key: key, Limits: boundless, Costs: costs}, &d)
	if err == nil && !d.Allowed {
		err = fmt.Errorf("%w: limit %q would count more than %d units", ErrCostExceedsLimit, d.Limit.Name, int64(maxUnits))
	}
	if l.observer != nil && d.Reason != ReasonOff {
		l.tellCharged(ctx, costs, err)
	}
	return err
}

// settle has the store replace what the call of d took.
func (l *Limiter) settle(ctx context.Context, key string, d Decision, units []int64) error {
	if key == "" {
		return errEmptyKey
	}
	if l.store == nil {
		return errNotMade
	}
	if d.Granted == 0 && d.taken == 0 {
		return nil
	}
	key = boundKey(key)
	if !d.isOf(key) {
		return fmt.Errorf("%w: to refund or settle needs the key of the call that took the units", ErrInvalidKey)
	}
	if d.Granted != d.taken {
		return fmt.Errorf("%w: Granted is %d; allowed: the %d that the call took", ErrDecisionChanged, d.Granted, d.taken)
	}
	detached, cancel := detach(ctx)
	defer cancel()
	err := l.store.Settle(detached, key, d, units)
	if l.observer != nil {
		l.tellSettled(ctx, &d, units, err)
	}
	return err
}

// settles returns the units of each limit of d.
func (c Cost) settles(d Decision) ([]int64, error) {
	statuses := d.Statuses()
	units := make([]int64, len(statuses))
	limits := make([]Limit, len(statuses))
	for i := range statuses {
		units[i], limits[i] = statuses[i].Granted, statuses[i].Limit
	}
	if d.Granted == 0 {
		return units, nil
	}
	costs, err := c.of(limits)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i := range limits {
		if _, named := c[limits[i].Name]; !named {
			continue
		}
		if units[i] == 0 && costs[i] > 0 {
			errs = append(errs, fmt.Errorf("%w: %d units of limit %q; allowed: 0, as the call took none of it (Charge counts more)", ErrInvalidCost, costs[i], limits[i].Name))
		}
		units[i] = costs[i]
	}
	return units, errors.Join(errs...)
}

// settleTimeout bounds what goes on after the caller's context has ended, besides the store's
// own timeout.
const settleTimeout = 5 * time.Second

// detach returns a context that does not end with ctx.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
}

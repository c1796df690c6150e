package slidingwindow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Refund gives back the units that the call of d took from key, as if that call had never been
// made. Use it for a login that succeeded, or a job that found nothing to do. All processes that
// share the store can use the units again at once.
//
// Any Limiter over a store of the same name (Decision.Store) can refund, in any process, also
// after the process that made the call has ended: see [Decision.MarshalText]. The limits of the
// Limiter do not matter.
//
// There is nothing to give back, and no error, if the call took nothing, if d was refunded or
// settled before, or if the units have left the window or were reset. So to refund twice is safe,
// with one exception: Redis knows a call by its microsecond and its units. A second refund can
// hit another call that got the same microsecond and units after the first refund. That needs a
// clock that was set back, or a place in line (Decision.Delay). With a Limit.Resolution refund only
// once: calls share an entry, and a second refund may give back the units of other calls.
//
// The errors that say that nothing was done are [ErrInvalidKey] if key is not that of the call,
// [ErrDecisionChanged] if d is not as the call returned it, and [ErrForeignDecision] if another
// store took the units. After [ErrStoreUnavailable] and [ErrForeignData] the units may have been
// given back or not. It is safe to try again, but not with a place in line or a Limit.Resolution.
// Like Peek, Refund itself tries again until the store's timeout while Redis cannot be reached, with
// the same two exceptions.
//
// The end of ctx does not stop it, because a client that hangs up is a common reason for a
// refund. The store's timeout bounds it, and so do 5 seconds.
func (l *Limiter) Refund(ctx context.Context, key string, d Decision) error {
	return l.settle(ctx, key, d, nil)
}

// Settle replaces the units that the call of d took from key by the units that were really used,
// such as an estimate of tokens by their number. It changes each limit that cost names. 0 gives
// back what the call took from that limit, and a limit that cost does not name keeps its units. The
// units stay at the time at which they were taken.
//
// The new units may pass Max. Settle refuses nothing, and later calls wait until the units have
// left the window. Units that have left the window already count nothing.
//
// The first Settle or Refund that changes a limit counts, and a later one does nothing. A call that
// took nothing has nothing to settle, such as one that shadow mode allowed. Settle returns
// [ErrInvalidCost] if a cost is negative, names no limit of d, or is above 0 for a limit from which
// the call took nothing: use [Limiter.Charge] for that. All else is as with Refund: who can settle,
// when it is safe to try again, the other errors, and the end of ctx.
//
// A process that ends before it settles leaves its estimate in the log for one Window after the
// call: for a minute with a Window of a minute, for a day with a Window of a day. To bound that,
// take 1 unit of a limit with a long Window, and settle with what was used: then only 1 unit
// stays. Let a limit with a short Window take the whole estimate. See the example "budget".
func (l *Limiter) Settle(ctx context.Context, key string, d Decision, cost Cost) error {
	units, err := cost.settles(d)
	if err != nil {
		return err
	}
	return l.settle(ctx, key, d, units)
}

// Charge counts units that are known only after they were used, such as the tokens of an answer.
// It refuses nothing: it may pass Max, and later calls wait until the units have left the window.
// A limit that cost does not name, or names with 0, is not charged. It charges nothing while the
// limiter is off.
//
// Charge is not safe to try again: after [ErrStoreUnavailable] the units may have been counted.
// Its errors are those of AllowCost, but each cost may be up to 999,999,999,999,999, and a cost
// of nothing is no error. As with Refund, the end of ctx does not stop it.
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
		return fmt.Errorf("%w: it is not the key that the units were taken from; allowed: that of the call", ErrInvalidKey)
	}
	if err := d.asTaken(); err != nil {
		return err
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

// settleTimeout bounds a call that goes on after the caller's context has ended, in addition to the
// store's own timeout.
const settleTimeout = 5 * time.Second

// detach returns a context that does not end with ctx.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
}

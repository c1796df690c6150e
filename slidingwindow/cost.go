package slidingwindow

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Cost is how many units a call takes of each limit, by the limit's Name: 0 or more. A limit
// that is not named costs 0.
type Cost map[string]int64

// AllowCost takes a different cost from each limit, or nothing. An LLM gateway takes 1 of "requests" and
// 1,200 of "tokens". A limit with a cost of 0 refuses nothing, but the Decision has its status. What was
// taken from each limit is Status.Granted of [Decision.Statuses].
//
// A negative cost, a name that no limit has, and a cost of nothing at all are [ErrInvalidCost]. A cost
// above the Max of its limit is [ErrCostExceedsLimit], as in AllowN: for estimates see [Limiter.Clamp].
// Nothing is taken then. The other errors are those of AllowN.
func (l *Limiter) AllowCost(ctx context.Context, key string, cost Cost) (Decision, error) {
	if l.store == nil {
		return Decision{}, errNotMade
	}
	costs, err := cost.of(l.limits)
	if err != nil {
		return Decision{}, err
	}
	if slices.Max(costs) == 0 {
		return Decision{}, fmt.Errorf("%w: nothing is asked of any limit; allowed: 1 or more units of one of %s (Peek asks without taking any)",
			ErrInvalidCost, quotedNames(l.limits))
	}
	for i, n := range costs {
		if err := l.limits[i].checkUnits(n); err != nil {
			return Decision{}, err
		}
	}
	req := Request{Key: key, Limits: l.limits, Costs: costs}
	if slices.Min(costs) == slices.Max(costs) {
		req.Cost, req.Costs = costs[0], nil // as AllowN
	}
	return l.take(ctx, req)
}

// Clamp returns a copy of cost in which no limit's units are above its Max. Use it for an estimate that
// may be far too high: a call that asks for more than Max can never be allowed. A clamped one is allowed
// when nothing else is in the window, and [Limiter.Settle] then counts what was really used. Clamp
// changes nothing else: AllowCost still finds a mistake in cost, and a limit whose Max is 0 still
// refuses.
func (l *Limiter) Clamp(cost Cost) Cost {
	clamped := maps.Clone(cost)
	for i := range l.limits {
		if limit := &l.limits[i]; limit.Max > 0 && clamped[limit.Name] > limit.Max {
			clamped[limit.Name] = limit.Max
		}
	}
	return clamped
}

// of returns the units of each limit.
func (c Cost) of(limits []Limit) ([]int64, error) {
	costs := make([]int64, len(limits))
	var errs []error
	named := 0
	for i := range limits {
		n, ok := c[limits[i].Name]
		if ok {
			named++
		}
		if n < 0 || n > maxUnits {
			errs = append(errs, fmt.Errorf("%w: %d units of limit %q; allowed: 0 to %d", ErrInvalidCost, n, limits[i].Name, int64(maxUnits)))
			continue
		}
		costs[i] = n
	}
	if named < len(c) {
		errs = append(errs, c.unknown(limits))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return costs, nil
}

// unknown is the error of a cost that names what is no limit.
func (c Cost) unknown(limits []Limit) error {
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if !slices.ContainsFunc(limits, func(l Limit) bool { return l.Name == name }) {
			return fmt.Errorf("%w: no limit is named %s; allowed: %s", ErrInvalidCost, quoteShort(name), quotedNames(limits))
		}
	}
	return nil
}

func quotedNames(limits []Limit) string {
	names := make([]string, len(limits))
	for i := range limits {
		names[i] = quoteShort(limits[i].Name)
	}
	return strings.Join(names, ", ")
}

package httplimit

import (
	"context"
	"fmt"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// charge is what a request takes: units of each limit, or a cost for each limit if costs is
// not nil.
type charge struct {
	units int64
	costs slidingwindow.Cost
}

// charge asks the functions of the Config what the request takes.
func (g *gate[C]) charge(c C) (ch charge, err error) {
	switch {
	case g.Costs != nil:
		ch.costs, err = g.Costs(c)
		if err != nil {
			return charge{}, fmt.Errorf("Config.Costs: %w", err)
		}
		return ch, nil
	case g.Cost != nil:
		ch.units, err = g.Cost(c)
		if err != nil {
			return charge{}, fmt.Errorf("Config.Cost: %w", err)
		}
		return ch, nil
	}
	return charge{units: 1}, nil
}

// free reports whether nothing is taken.
func (ch *charge) free() bool {
	for _, units := range ch.costs {
		if units != 0 {
			return false
		}
	}
	return ch.units == 0
}

func (ch *charge) take(ctx context.Context, limiter *slidingwindow.Limiter, key string) (slidingwindow.Decision, error) {
	if ch.costs != nil {
		return limiter.AllowCost(ctx, key, ch.costs)
	}
	return limiter.AllowN(ctx, key, ch.units)
}

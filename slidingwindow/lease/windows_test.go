package lease_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/lease"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// failure keeps what a check finds.
type failure struct{ err error }

func (f *failure) Errorf(format string, args ...any) {
	f.err = errors.Join(f.err, fmt.Errorf(format, args...))
}
func (f *failure) FailNow() {}

// sooner is a store that dates units taken ahead too early.
type sooner struct {
	slidingwindow.Store
	by time.Duration
}

func (s sooner) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	req.Ahead = max(0, req.Ahead-s.by)
	return s.Store.Take(ctx, req)
}

// TestNoWindowHoldsMoreThanMax has several processes share limits, some calls without leases, and a
// clock of the store that is also set back. The check must find what would break it; units that are
// used 1ms late are for TestTheLastMomentOfALease, and for the suite of every store.
func TestNoWindowHoldsMoreThanMax(t *testing.T) {
	t.Parallel()
	leased := 0
	for seed := range uint64(60) {
		inLeases, err := schedule(t, seed, 0)
		require.NoError(t, err, "schedule %d", seed)
		leased += inLeases
	}
	assert.Greater(t, leased, 1000, "calls that leases decided")
	found := false
	for seed := uint64(0); seed < 500 && !found; seed++ {
		_, err := schedule(t, seed, time.Hour)
		found = err != nil
	}
	assert.True(t, found, "the check finds nothing where an entry has the time of its begin")
}

// schedule runs random calls, and returns how many were decided from leases, and what is wrong with
// all of them.
func schedule(t *testing.T, seed uint64, early time.Duration) (leased int, wrong error) {
	random := rand.New(rand.NewPCG(seed, 13)) //nolint:gosec // the same each time
	here, there := newClock(), newClock()     // of the processes, and of the store
	inner, err := memory.NewWithConfig(memory.Config{Clock: there.Now})
	require.NoError(t, err)
	limits := []slidingwindow.Limit{{Name: "x", Max: 20 + random.Int64N(400), Window: time.Second}}
	if random.IntN(3) == 0 {
		limits = append(limits, slidingwindow.Limit{Name: "y", Max: 20 + random.Int64N(100), Window: 300 * time.Millisecond})
	}
	config := lease.Config{For: time.Duration(1+random.IntN(100)) * time.Millisecond}
	direct, err := slidingwindow.New(inner, limits...)
	require.NoError(t, err)
	limiters := []*slidingwindow.Limiter{direct}
	stores := []*lease.Store{}
	for range 1 + random.IntN(3) {
		store, err := lease.NewOnClock(sooner{inner, early}, config, here.Now)
		require.NoError(t, err)
		limiter, err := slidingwindow.New(store, limits...)
		require.NoError(t, err)
		limiters, stores = append(limiters, limiter), append(stores, store)
	}
	alone := len(stores) == 1 && random.IntN(2) == 0 // nobody else uses the key
	if alone {
		limiters = limiters[1:]
	}
	var now time.Duration
	var hits []naive.Hit
	used := func(of *slidingwindow.Limit) (units int64) {
		for _, h := range hits {
			if h.At > now-of.Window {
				units += h.Units
			}
		}
		return units
	}
	type call struct {
		limiter *slidingwindow.Limiter
		d       slidingwindow.Decision
		hit     int
	}
	var calls []call
	for range 80 {
		step := time.Duration(random.Int64N(int64(20*time.Millisecond))) / 1000 * 1000
		if random.IntN(4) == 0 {
			step = []time.Duration{config.For, config.For + time.Millisecond, time.Second - config.For, time.Second, time.Second + config.For}[random.IntN(5)]
		}
		now += step
		here.Advance(step)
		there.Advance(step)
		if random.IntN(15) == 0 {
			there.Advance(-time.Duration(random.Int64N(int64(100*time.Millisecond))) / 1000 * 1000)
		}
		for _, store := range stores {
			if random.IntN(2) == 0 {
				store.Sweep()
			}
		}
		limiter := limiters[random.IntN(len(limiters))]
		switch random.IntN(10) {
		case 0:
			d, err := limiter.Reserve(t.Context(), "k", 1+random.Int64N(3), time.Duration(random.Int64N(int64(time.Second))))
			require.NoError(t, err)
			if d.Granted > 0 {
				hits = append(hits, naive.Hit{At: now + d.Delay, Units: d.Granted})
			}
		case 1:
			if len(calls) > 0 { // a call that used less than it took, or nothing
				i := random.IntN(len(calls))
				c := calls[i]
				n := random.Int64N(c.d.Granted + 1)
				cost := slidingwindow.Cost{}
				for _, limit := range limits {
					cost[limit.Name] = n
				}
				require.NoError(t, c.limiter.Settle(t.Context(), "k", c.d, cost))
				hits[c.hit].Units = n
				calls = slices.Delete(calls, i, i+1)
			}
		case 2:
			cost := slidingwindow.Cost{"x": 1 + random.Int64N(5)}
			d, err := limiter.AllowCost(t.Context(), "k", cost)
			require.NoError(t, err)
			if d.Allowed && len(limits) == 1 {
				hits = append(hits, naive.Hit{At: now, Units: cost["x"]})
			}
		default:
			for range random.IntN(40) {
				n := 1 + random.Int64N(1+random.Int64N(4))
				ask := limiter.AllowN
				if random.IntN(10) == 0 {
					ask = limiter.AllowAtMost
				}
				d, err := ask(t.Context(), "k", n)
				require.NoError(t, err)
				for _, store := range stores {
					store.Settled() // so that a seed is a schedule
				}
				if d.Granted == 0 {
					assert.True(t, d.RetryAfter > 0 && !d.Allowed)
					continue
				}
				if lease.Decided(d) {
					leased++
				}
				calls = append(calls, call{limiter, d, len(hits)})
				hits = append(hits, naive.Hit{At: now, Units: d.Granted})
				for _, s := range d.Statuses() {
					if alone && s.Remaining > max(0, s.Limit.Max-used(&s.Limit)) {
						wrong = fmt.Errorf("%d remain of %q, but %d are used", s.Remaining, s.Limit.Name, used(&s.Limit))
					}
				}
			}
		}
	}
	for _, store := range stores {
		require.NoError(t, store.Close())
	}
	slices.SortStableFunc(hits, func(a, b naive.Hit) int { return int(a.At - b.At) })
	over := failure{err: wrong}
	for _, limit := range limits {
		naive.CheckWindows(&over, hits, limit)
	}
	return leased, over.err
}

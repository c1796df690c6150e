package storetest_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

// mapStore is a slidingwindow.Store: a map with a mutex. It is short rather than fast, and forgets
// nothing. Package memory has one for real use.
type mapStore struct {
	now func() time.Time

	mu   sync.Mutex
	logs map[logOf][]hit // each in the order of the times
	last int64           // the newest receipt
}

type logOf struct{ key, limit string }

type hit struct {
	at             time.Time // when its units are used
	units, receipt int64
}

const storeName = "map:example" // tells its Decisions from those of other stores

func (s *mapStore) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	if ctx.Err() != nil {
		return slidingwindow.Decision{}, slidingwindow.ContextEnded(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	statuses, units := make([]slidingwindow.Status, len(req.Limits)), make([]int64, len(req.Limits))
	var wait time.Duration
	possible, most := true, req.Cost
	for i, limit := range req.Limits { // read first
		units[i] = req.CostOf(i)
		if req.AtMost {
			units[i] = 1
		}
		statuses[i] = s.status(req.Key, limit, units[i], now, req.Wait)
		wait, most = max(wait, statuses[i].RetryAfter), min(most, statuses[i].Remaining)
		possible = possible && units[i] <= limit.Max
	}
	if fits := wait == 0 || req.Wait && possible && wait <= req.MaxWait; !fits || req.Peek {
		return slidingwindow.NewDecision(0, statuses...), nil
	}
	s.last++
	for i, limit := range req.Limits { // write last
		if req.AtMost {
			units[i] = most
		}
		if statuses[i].RetryAfter = 0; units[i] > 0 {
			s.add(logOf{req.Key, limit.Name}, hit{endOf(limit, now.Add(wait+req.Ahead)), units[i], s.last})
			statuses[i] = s.status(req.Key, limit, 0, now, false)
			statuses[i].Granted, statuses[i].Receipt = units[i], s.last
		}
	}
	d := slidingwindow.NewDecision(0, statuses...)
	d.Delay, d.Store = wait, storeName
	return d, nil
}

// status tells where a limit stands and, if units do not fit now, how long until they do.
func (s *mapStore) status(key string, limit slidingwindow.Limit, units int64, now time.Time, inLine bool) slidingwindow.Status {
	counted := slices.Clone(s.logs[logOf{key, limit.Name}])
	counted = slices.DeleteFunc(counted, func(h hit) bool { return !h.at.After(now.Add(-limit.Window)) })
	var used int64
	for _, h := range counted {
		used += h.units
	}
	status := slidingwindow.Status{Limit: limit, Remaining: max(0, limit.Max-used)}
	if len(counted) > 0 {
		status.ReplenishAfter = counted[0].at.Add(limit.Window).Sub(now)
	}
	switch {
	case units == 0:
		return status
	case units > limit.Max:
		status.RetryAfter = limit.Window
	default: // when enough of the oldest hits have left
		for i := 0; used+units > limit.Max; i++ {
			used -= counted[i].units
			status.RetryAfter = counted[i].at.Add(limit.Window).Sub(now)
		}
	}
	if last := len(counted) - 1; inLine && last >= 0 && counted[last].at.After(endOf(limit, now)) {
		status.RetryAfter = max(status.RetryAfter, counted[last].at.Sub(now)) // nobody overtakes
	}
	return status
}

func (s *mapStore) add(log logOf, h hit) {
	i := slices.IndexFunc(s.logs[log], func(other hit) bool { return other.at.After(h.at) })
	if i < 0 {
		i = len(s.logs[log])
	}
	s.logs[log] = slices.Insert(s.logs[log], i, h)
}

// endOf returns when the Resolution ends that holds a time, or the time if the limit has none.
func endOf(limit slidingwindow.Limit, at time.Time) time.Time {
	if limit.Resolution > 0 && at.UnixNano()%int64(limit.Resolution) > 0 {
		at = at.Add(limit.Resolution - time.Duration(at.UnixNano()%int64(limit.Resolution)))
	}
	return at
}

func (s *mapStore) Settle(ctx context.Context, key string, d slidingwindow.Decision, units []int64) error {
	switch {
	case ctx.Err() != nil:
		return slidingwindow.ContextEnded(ctx)
	case d.Granted > 0 && d.Store != storeName:
		return fmt.Errorf("%w: Decision.Store is %q; allowed: %q", slidingwindow.ErrForeignDecision, d.Store, storeName)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, status := range d.Statuses() {
		log := logOf{key, status.Limit.Name}
		at := slices.IndexFunc(s.logs[log], func(h hit) bool { return h.receipt == status.Receipt && h.units == status.Granted })
		switch {
		case at < 0: // a call that took nothing, or that was settled, or whose units were reset
		case units == nil || units[i] == 0:
			s.logs[log] = slices.Delete(s.logs[log], at, at+1)
		default:
			s.logs[log][at].units = units[i]
		}
	}
	return nil
}

func (s *mapStore) Reset(ctx context.Context, key string, limits []slidingwindow.Limit) error {
	if ctx.Err() != nil {
		return slidingwindow.ContextEnded(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, limit := range limits {
		delete(s.logs, logOf{key, limit.Name})
	}
	return nil
}

// testMapStore is what a test of the store calls.
func testMapStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Harness {
		clock := storetest.Epoch
		store := &mapStore{now: func() time.Time { return clock }, logs: map[logOf][]hit{}}
		return storetest.Harness{Store: store, Keeps: true, Advance: func(d time.Duration) { clock = clock.Add(d) }}
	})
}

// A Store of one's own: a map with a mutex, and the suite that it passes.
func Example() {
	store := &mapStore{now: time.Now, logs: map[logOf][]hit{}}
	limiter := slidingwindow.MustNew(store, slidingwindow.PerMinute(2))
	for range 3 {
		d, err := limiter.Allow(context.Background(), "alice")
		fmt.Println(d.Allowed, d.Remaining, err)
	}
	// Output:
	// true 1 <nil>
	// true 0 <nil>
	// false 0 <nil>
}

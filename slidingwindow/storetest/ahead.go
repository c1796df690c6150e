package storetest

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
)

// ask asks the store itself: no method of a Limiter takes units ahead.
func ask(t testing.TB, h Harness, req slidingwindow.Request) slidingwindow.Decision {
	t.Helper()
	d, err := h.Store.Take(t.Context(), req)
	require.NoError(t, err)
	return d
}

// takenAheadCountsUntilItsEnd has units that may be used for ten seconds: they count for all that
// time and a Window more.
func takenAheadCountsUntilItsEnd(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.Limit{Name: "short", Max: 10, Window: time.Minute}, slidingwindow.Limit{Name: "long", Max: 100, Window: time.Hour})
	limits := l.Limits()
	d := ask(t, h, slidingwindow.Request{Key: "k", Limits: limits, Cost: 6, Ahead: 10 * time.Second})
	require.True(t, d.Allowed)
	assert.Zero(t, d.Delay, "they may be used at once")
	assert.Equal(t, []slidingwindow.Status{
		{Limit: limits[0], Granted: 6, Remaining: 4, ReplenishAfter: 70 * time.Second},
		{Limit: limits[1], Granted: 6, Remaining: 94, ReplenishAfter: time.Hour + 10*time.Second},
	}, naive.WithoutReceipts(d).Statuses())
	refused := ask(t, h, slidingwindow.Request{Key: "k", Limits: limits, Cost: 5, Ahead: 10 * time.Second})
	assert.False(t, refused.Allowed, "it is refused as a call for now is")
	assert.Equal(t, 70*time.Second, refused.RetryAfter)

	most := ask(t, h, slidingwindow.Request{Key: "k", Limits: limits, Cost: 50, AtMost: true, Ahead: 20 * time.Second})
	assert.EqualValues(t, 4, most.Granted)
	h.Advance(70*time.Second - time.Microsecond)
	assert.Equal(t, []int64{0, 90}, left(t, l, "k"))
	h.Advance(time.Microsecond)
	assert.Equal(t, []int64{6, 90}, left(t, l, "k"))
	h.Advance(10 * time.Second)
	assert.Equal(t, []int64{10, 90}, left(t, l, "k"))

	costs := ask(t, h, slidingwindow.Request{Key: "k", Limits: limits, Costs: []int64{2, 9}, Ahead: 30 * time.Second})
	assert.Equal(t, []int64{8, 81}, left(t, l, "k"))
	h.Advance(time.Second)
	require.NoError(t, h.Store.Settle(t.Context(), "k", costs, []int64{1, 0}), "what was not used is given back")
	assert.Equal(t, []int64{9, 90}, left(t, l, "k"))
	h.Advance(89*time.Second - time.Microsecond)
	assert.Equal(t, []int64{9, 90}, left(t, l, "k"), "and the rest stays as long as before")
	h.Advance(time.Microsecond)
	assert.Equal(t, []int64{10, 90}, left(t, l, "k"))
}

// aheadIsNeverLessThanAsked asks for a time that is no whole number of microseconds.
func aheadIsNeverLessThanAsked(t *testing.T, h Harness) {
	l := h.limiter(t, slidingwindow.PerMinute(1))
	d := ask(t, h, slidingwindow.Request{Key: "k", Limits: l.Limits(), Cost: 1, Ahead: time.Microsecond + 1})
	assert.GreaterOrEqual(t, d.ReplenishAfter, time.Minute+time.Microsecond+1)
	h.Advance(time.Minute + time.Microsecond)
	assert.Equal(t, 0, admitted(t, l, "k", 1))
	h.Advance(time.Microsecond)
	assert.Equal(t, 1, admitted(t, l, "k", 1))
}

// holdersUseNoMoreThanMax has holders of units ahead among all other calls. It must find what would
// break them, or it shows nothing.
func holdersUseNoMoreThanMax(t *testing.T, h Harness) {
	const schedules = 60
	for seed := range uint64(schedules) {
		require.NoError(t, holders(t, h, seed, 0), "schedule %d", seed)
	}
	for name, broken := range map[string]struct {
		store slidingwindow.Store
		late  time.Duration
	}{
		"a unit is used 1ms after its time": {h.Store, time.Millisecond},
		"an entry has the time of its call": {asOfNow{h.Store}, 0},
	} {
		found := false
		for seed := uint64(0); seed < 20*schedules && !found; seed++ {
			found = holders(t, Harness{Store: broken.store, Advance: h.Advance}, seed, broken.late) != nil
		}
		assert.True(t, found, "the check finds nothing where %s", name)
	}
}

// asOfNow is a store that forgets until when units may be used.
type asOfNow struct{ slidingwindow.Store }

func (s asOfNow) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	req.Ahead = 0
	return s.Store.Take(ctx, req)
}

// holder has units that it may use until some time.
type holder struct {
	d     slidingwindow.Decision
	left  int64
	until time.Duration
}

// failure keeps what a check finds.
type failure struct{ err error }

func (f *failure) Errorf(format string, args ...any) {
	f.err = errors.Join(f.err, fmt.Errorf(format, args...))
}
func (f *failure) FailNow() {}

// holders runs a random schedule of holders and of calls for now and for later, on a clock that is
// also set back, and returns an error if a window of the time that really passed holds more uses
// than Max. A holder uses its units so late as to be wrong.
func holders(t *testing.T, h Harness, seed uint64, late time.Duration) error {
	random := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // the same each time
	limits := []slidingwindow.Limit{{Name: "x", Max: 1 + random.Int64N(12), Window: time.Minute}}
	if random.IntN(3) == 0 {
		limits = append(limits, slidingwindow.Limit{Name: "y", Max: 1 + random.Int64N(12), Window: 10 * time.Second})
	}
	key := fmt.Sprintf("holders %d %v %T", seed, late, h.Store)
	l := h.limiter(t, limits...)
	var (
		now     time.Duration // that has really passed
		hits    []naive.Hit
		held    []*holder
		places  []slidingwindow.Decision // in line
		placeOf []int                    // in hits
		events  = []time.Duration{0}     // when something may change
	)
	advance := func() {
		d := time.Duration(random.Int64N(int64(4*time.Second))) / 1000 * 1000
		if event := events[random.IntN(len(events))] - now; event >= 0 && random.IntN(2) == 0 {
			d = max(0, event+[]time.Duration{-time.Microsecond, 0, time.Microsecond, time.Millisecond}[random.IntN(4)])
		}
		now += d
		h.Advance(d)
		if random.IntN(12) == 0 { // the clock is set back: all that counts does so for longer
			h.Advance(-time.Duration(random.Int64N(int64(2*time.Second))) / 1000 * 1000)
		}
	}
	for range 60 {
		advance()
		req := slidingwindow.Request{Key: key, Limits: l.Limits(), Cost: 1 + random.Int64N(4)}
		switch random.IntN(8) {
		case 0, 1:
			req.AtMost, req.Ahead = random.IntN(2) == 0, time.Duration(1+random.Int64N(int64(20*time.Second)))/1000*1000
			if d := ask(t, h, req); d.Granted > 0 {
				held = append(held, &holder{d: d, left: d.Granted, until: now + req.Ahead})
				events = append(events, now+req.Ahead, now+req.Ahead+time.Minute, now+time.Minute)
			}
		case 2, 3, 4:
			for _, holder := range held {
				if n := min(holder.left, 1+random.Int64N(3)); n > 0 && now <= holder.until+late {
					hits = append(hits, naive.Hit{At: now, Units: n})
					holder.left -= n
				}
			}
		case 5:
			req.Cost = min(req.Cost, limits[0].Max, limits[len(limits)-1].Max)
			if d := ask(t, h, req); d.Granted > 0 {
				hits = append(hits, naive.Hit{At: now, Units: d.Granted})
				events = append(events, now+time.Minute)
			}
		case 6:
			req.Wait, req.MaxWait = true, time.Duration(random.Int64N(int64(time.Minute)))
			if d := ask(t, h, req); d.Granted > 0 {
				places, placeOf = append(places, d), append(placeOf, len(hits))
				hits = append(hits, naive.Hit{At: now + d.Delay, Units: d.Granted})
			}
		default: // somebody gives back what it does not use
			if len(held) > 0 {
				i := random.IntN(len(held))
				used := held[i].d.Granted - held[i].left
				require.NoError(t, h.Store.Settle(t.Context(), key, held[i].d, slices.Repeat([]int64{used}, len(limits))))
				held = slices.Delete(held, i, i+1)
			}
			if last := len(places) - 1; last >= 0 && hits[placeOf[last]].At > now {
				require.NoError(t, h.Store.Settle(t.Context(), key, places[last], nil))
				hits[placeOf[last]].Units = 0
				places, placeOf = places[:last], placeOf[:last]
			}
		}
	}
	slices.SortStableFunc(hits, func(a, b naive.Hit) int { return int(a.At - b.At) })
	var over failure
	for _, limit := range limits {
		naive.CheckWindows(&over, hits, limit)
	}
	return over.err
}

package storetest

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Rapid runs 100 schedules of a property unless -rapid.checks says otherwise; each
// check here runs several.
const schedulesPerCheck = 10

// clockSteps are moves of the clock, in whole microseconds, most of them around the edges of
// windows, where the mistakes are.
func clockSteps() *rapid.Generator[time.Duration] {
	us := rapid.OneOf(
		rapid.SampledFrom([]int64{0, 0, 1, 999, 1000, 1001, 59_999_999, 60_000_000, 60_000_001}),
		rapid.Int64Range(0, 90_000_000),
	)
	return rapid.Map(us, func(us int64) time.Duration { return time.Duration(us) * time.Microsecond })
}

// terrain is what a random schedule may do besides making calls.
type terrain struct {
	windows []time.Duration // of the limits, which change on the way
	back    bool            // the clock may be set back
}

// matchesModel gives the store and the model the same random calls and wants the same
// answers, in every field.
func matchesModel(t *testing.T, h Harness) {
	anyWindow := []time.Duration{10 * time.Second, time.Minute, time.Hour}
	terrains := []terrain{
		{windows: anyWindow},
		{windows: []time.Duration{time.Hour}, back: true},
	}
	if !h.Expires {
		// When a clock that is set back far brings an expired log back is nobody's
		// promise.
		terrains = append(terrains, terrain{windows: anyWindow, back: true})
	}
	model := &naive.Model{Now: Epoch, Expires: h.Expires, Keeps: h.Keeps, Tick: h.Tick}
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		for range schedulesPerCheck {
			run++
			randomSchedule(rt, h, model, run, rapid.SampledFrom(terrains).Draw(rt, "terrain"))
		}
	})
}

func randomSchedule(rt *rapid.T, h Harness, model *naive.Model, run int, ground terrain) {
	key := func() string {
		return fmt.Sprintf("run %d key %d", run, rapid.IntRange(0, 1).Draw(rt, "key"))
	}
	limits := drawLimits(rt, ground.windows)
	l := h.limiter(rt, limits...)
	smallest := int64(1 << 40)
	for _, limit := range l.Limits() {
		smallest = min(smallest, limit.Max)
	}
	var taken []pair
	steps := []string{"take", "take", "take", "take", "advance", "advance", "peek", "most", "cost", "cost", "reserve", "reserve", "ahead", "ahead", "settle", "settle", "charge", "refund", "refund", "reset", "relimit"}
	if ground.back {
		steps = append(steps, "back")
	}
	for range rapid.IntRange(1, 30).Draw(rt, "steps") {
		switch rapid.SampledFrom(steps).Draw(rt, "step") {
		case "advance":
			d := clockSteps().Draw(rt, "step")
			h.Advance(d)
			model.Advance(d)
		case "back":
			d := -clockSteps().Draw(rt, "step")
			h.Advance(d)
			model.Advance(d)
			if len(ground.windows) > 1 {
				// A call can get the time of one before that has left its window.
				taken = nil
			}
		case "take":
			n := int64(1)
			if smallest > 1 {
				n = rapid.SampledFrom([]int64{1, 1, 1, 2, min(3, smallest), smallest}).Draw(rt, "units")
			}
			k := key()
			got, err := l.AllowN(rt.Context(), k, n)
			require.NoError(rt, err)
			want := model.Take(slidingwindow.Request{Key: k, Limits: l.Limits(), Cost: n})
			requireSame(rt, want, got)
			taken = append(taken, pair{key: k, want: want, got: got})
		case "most":
			k, n := key(), rapid.Int64Range(1, 20).Draw(rt, "units")
			got, err := l.AllowAtMost(rt.Context(), k, n)
			require.NoError(rt, err)
			want := model.Take(slidingwindow.Request{Key: k, Limits: l.Limits(), Cost: n, AtMost: true})
			requireSame(rt, want, got)
			taken = append(taken, pair{key: k, want: want, got: got})
		case "reserve":
			k, n := key(), rapid.Int64Range(1, max(1, smallest)).Draw(rt, "units")
			maxWait := rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, 2 * time.Hour, math.MaxInt64}).Draw(rt, "max wait")
			got, err := l.Reserve(rt.Context(), k, n, maxWait)
			require.NoError(rt, err)
			want := model.Take(slidingwindow.Request{Key: k, Limits: l.Limits(), Cost: n, Wait: true, MaxWait: maxWait})
			requireSame(rt, want, got)
			taken = append(taken, pair{key: k, want: want, got: got})
		case "ahead":
			req := slidingwindow.Request{Key: key(), Limits: l.Limits(), Cost: rapid.Int64Range(1, 20).Draw(rt, "units"), AtMost: rapid.Bool().Draw(rt, "at most"), Ahead: clockSteps().Draw(rt, "ahead")}
			got, err := h.Store.Take(rt.Context(), req)
			require.NoError(rt, err)
			want := model.Take(req)
			requireSame(rt, want, got)
			if got.Granted > 0 && rapid.Bool().Draw(rt, "is given back") {
				units := slices.Repeat([]int64{rapid.Int64Range(0, got.Granted).Draw(rt, "units")}, len(limits))
				require.NoError(rt, h.Store.Settle(rt.Context(), req.Key, got, units))
				model.Settle(req.Key, want, units)
			}
		case "cost":
			k, cost, costs := key(), slidingwindow.Cost{}, make([]int64, len(limits))
			for i, limit := range l.Limits() {
				costs[i] = rapid.Int64Range(0, limit.Max).Draw(rt, "units")
				cost[limit.Name] = costs[i]
			}
			if slices.Max(costs) == 0 {
				continue
			}
			got, err := l.AllowCost(rt.Context(), k, cost)
			require.NoError(rt, err)
			want := model.Take(slidingwindow.Request{Key: k, Limits: l.Limits(), Costs: costs})
			requireSame(rt, want, got)
			taken = append(taken, pair{key: k, want: want, got: got})
		case "refund":
			if len(taken) == 0 {
				continue
			}
			// Also one that was refused. None twice: Limiter.Refund tells why.
			i := rapid.IntRange(0, len(taken)-1).Draw(rt, "refund")
			p := taken[i]
			require.NoError(rt, l.Refund(rt.Context(), p.key, anywhere(rt, p.got)))
			model.Settle(p.key, p.want, nil)
			taken = slices.Delete(taken, i, i+1)
		case "settle":
			if len(taken) == 0 {
				continue
			}
			i := rapid.IntRange(0, len(taken)-1).Draw(rt, "settle")
			p := taken[i]
			if !p.got.Allowed {
				continue
			}
			cost, units := slidingwindow.Cost{}, make([]int64, 0, 3)
			for _, s := range p.got.Statuses() {
				n := s.Granted
				if n > 0 && rapid.Bool().Draw(rt, "is settled") {
					n = rapid.Int64Range(0, 20).Draw(rt, "units")
					cost[s.Limit.Name] = n
				}
				units = append(units, n)
			}
			require.NoError(rt, l.Settle(rt.Context(), p.key, anywhere(rt, p.got), cost))
			model.Settle(p.key, p.want, units)
			taken = slices.Delete(taken, i, i+1)
		case "charge":
			k, limit, n := key(), rapid.SampledFrom(l.Limits()).Draw(rt, "limit"), rapid.Int64Range(1, 20).Draw(rt, "units")
			require.NoError(rt, l.Charge(rt.Context(), k, slidingwindow.Cost{limit.Name: n}))
			limit.Max = 1 << 40
			model.Take(slidingwindow.Request{Key: k, Limits: []slidingwindow.Limit{limit}, Cost: n})
		case "peek":
			k, n := key(), rapid.Int64Range(1, max(1, smallest)).Draw(rt, "units")
			got, err := l.PeekN(rt.Context(), k, n)
			require.NoError(rt, err)
			requireSame(rt, model.Take(slidingwindow.Request{Key: k, Limits: l.Limits(), Cost: n, Peek: true}), got)
		case "reset":
			k := key()
			require.NoError(rt, l.Reset(rt.Context(), k))
			model.Reset(k, l.Limits())
			// On a clock that stands still a call after the reset would be the same entry to
			// Redis as one before it.
			taken = slices.DeleteFunc(taken, func(p pair) bool { return p.key == k })
		case "relimit":
			limits = drawLimits(rt, ground.windows)
			l = h.limiter(rt, limits...)
			smallest = int64(1 << 40)
			for _, limit := range l.Limits() {
				smallest = min(smallest, limit.Max)
			}
		}
	}
}

// anywhere is the Decision as this process has it, or as another would.
func anywhere(rt *rapid.T, d slidingwindow.Decision) slidingwindow.Decision {
	if rapid.Bool().Draw(rt, "as a text") {
		return naive.ThroughText(rt, d)
	}
	return d
}

// drawLimits makes one to three limits from three names, so that a later draw changes
// the Max and the Window of logs that exist.
func drawLimits(rt *rapid.T, windows []time.Duration) []slidingwindow.Limit {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3, rapid.ID[string]).Draw(rt, "limits")
	limits := make([]slidingwindow.Limit, len(names))
	for i, name := range names {
		limits[i] = slidingwindow.Limit{
			Name:       name,
			Max:        rapid.SampledFrom([]int64{1, 2, 3, 5, 8, 15}).Draw(rt, "max"),
			Window:     rapid.SampledFrom(windows).Draw(rt, "window"),
			Resolution: rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, time.Second, 10 * time.Second}).Draw(rt, "resolution"),
		}
	}
	return limits
}

// pair is what the model and the store said of one call.
type pair struct {
	key       string
	want, got slidingwindow.Decision
}

// requireSame compares all but the receipts and the names, which each has its own of. A refusal that a
// store knew of is as good as one that it decided.
func requireSame(t require.TestingT, want, got slidingwindow.Decision) {
	for _, d := range []slidingwindow.Decision{want, got} {
		for _, s := range d.Statuses() {
			require.Equal(t, s.Granted > 0, s.Receipt != 0, "receipts for what was taken")
		}
	}
	require.Equal(t, got.Granted > 0, got.Store != "", "a store's name for what was taken")
	want, got = naive.WithoutReceipts(want), naive.WithoutReceipts(got)
	if got.Reason == slidingwindow.ReasonCached {
		got.Reason = slidingwindow.ReasonRefused
	}
	require.Equal(t, want.Statuses(), got.Statuses())
	require.Equal(t, want, got)
}

// noWindowHoldsMoreThanMax admits units at random times and then looks at every window
// that ends with a hit: no other can hold more.
func noWindowHoldsMoreThanMax(t *testing.T, h Harness) {
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		for range schedulesPerCheck {
			run++
			limit := slidingwindow.Limit{Name: "x", Max: rapid.Int64Range(1, 9).Draw(rt, "max"), Window: time.Minute}
			l := h.limiter(rt, limit)
			var now time.Duration
			var hits []naive.Hit
			for range 25 {
				d := (clockSteps().Draw(rt, "step") / 4).Truncate(time.Microsecond)
				h.Advance(d)
				now += d
				n := rapid.Int64Range(1, limit.Max).Draw(rt, "units")
				got, err := l.AllowN(rt.Context(), fmt.Sprint("window ", run), n)
				require.NoError(rt, err)
				if got.Allowed {
					hits = append(hits, naive.Hit{At: now, Units: n})
				}
			}
			naive.CheckWindows(rt, hits, limit)
		}
	})
}

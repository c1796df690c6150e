package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// begin is when a simulation begins: at the start of a window of the clock.
var begin = time.Date(2035, time.May, 4, 0, 0, 0, 0, time.UTC)

// edgeBurst is a client that knows when windows end: it opens one, waits, and spends what is
// left of it just before its end; takes all of the next at its beginning; and then asks at a
// steady pace for as much as may have come free. Windows later it does so again.
func edgeBurst(q quota) []time.Time {
	var calls []time.Time
	for cycle := range 4 {
		opening := begin.Add(time.Duration(4*cycle) * q.Window)
		end := opening.Add(q.Window)
		calls = append(calls, opening)
		for i := range 2 * q.Max {
			calls = append(calls,
				end.Add(-time.Duration(i+1)*time.Microsecond), // before the edge
				end.Add(time.Duration(i)*time.Microsecond))    // after it
		}
		pace := q.Window / time.Duration(2*q.Max)
		for at := end.Add(pace); at.Before(end.Add(q.Window)); at = at.Add(pace) {
			calls = append(calls, at)
		}
	}
	slices.SortFunc(calls, time.Time.Compare)
	return calls
}

// randomTraffic asks for twice what is allowed on average, at times that chance decides, with
// bursts and lulls. The same seed gives the same calls.
func randomTraffic(q quota, windows int, seed uint64) []time.Time {
	random := rand.New(rand.NewPCG(seed, 0))
	var calls []time.Time
	mean := float64(q.Window) / float64(2*q.Max)
	end := begin.Add(time.Duration(windows) * q.Window)
	for now := begin; now.Before(end); {
		pace := 0.1 + 1.9*random.Float64() // of this burst or lull
		for until := now.Add(time.Duration(random.ExpFloat64() * float64(q.Window) / 2)); now.Before(until) && now.Before(end); {
			now = now.Add(max(time.Microsecond, time.Duration(random.ExpFloat64()*mean*pace)))
			calls = append(calls, now)
		}
		if random.IntN(3) == 0 {
			now = now.Add(time.Duration(random.ExpFloat64() * float64(q.Window)))
		}
	}
	return calls
}

// zipf is a long list of keys, in which the one of rank r is about 1/r as often as the first.
func zipf(keys []string) []string {
	random := rand.New(rand.NewPCG(1, 0))
	list := make([]string, 1<<16)
	for i := range list {
		list[i] = keys[min(len(keys), int(math.Pow(float64(len(keys)+1), random.Float64())))-1]
	}
	return list
}

package main

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// tally is what came of a load.
type tally struct {
	Decisions int64 // calls that were answered
	Admitted  int64
	Errors    int64 // calls that were not
	Elapsed   time.Duration
	ClientCPU time.Duration // of this process, all of it
	latency   histogram
}

func (t *tally) add(other *tally) {
	t.Decisions += other.Decisions
	t.Admitted += other.Admitted
	t.Errors += other.Errors
	t.ClientCPU += other.ClientCPU
	t.Elapsed = max(t.Elapsed, other.Elapsed)
	t.latency.merge(&other.latency)
}

func (t *tally) count(allowed bool, err error) {
	switch {
	case err != nil:
		t.Errors++
	case allowed:
		t.Admitted++
		t.Decisions++
	default:
		t.Decisions++
	}
}

func keyNames(kind string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = kind + ":" + strconv.Itoa(i)
	}
	return keys
}

// loadFor has callers ask one after the other for a while, each going round the keys from
// a place of its own, so that all keys are asked for about equally often. The latency of a
// call is the time between the end of the one before and its own: one reading of the clock.
func loadFor(ctx context.Context, ask decide, keys []string, callers int, while time.Duration) *tally {
	tallies := make([]tally, callers)
	var wg sync.WaitGroup
	cpu, start := cpuTime(), time.Now()
	end := start.Add(while)
	for i := range tallies {
		wg.Go(func() {
			t := &tallies[i]
			key := i * len(keys) / callers
			for before := time.Now(); before.Before(end); key++ {
				t.count(ask(ctx, keys[key%len(keys)]))
				after := time.Now()
				t.latency.add(after.Sub(before))
				before = after
			}
		})
	}
	wg.Wait()
	total := &tally{Elapsed: time.Since(start), ClientCPU: cpuTime() - cpu}
	for i := range tallies {
		tallies[i].Elapsed = 0
		total.add(&tallies[i])
	}
	return total
}

// askInTurn has callers make so many calls, as fast as they can, for one key after the other.
func askInTurn(ctx context.Context, ask decide, keys []string, callers, calls int) *tally {
	tallies := make([]tally, callers)
	var wg sync.WaitGroup
	var next atomic.Int64
	start := time.Now()
	for i := range tallies {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= calls {
					return
				}
				tallies[i].count(ask(ctx, keys[n%len(keys)]))
			}
		})
	}
	wg.Wait()
	total := &tally{Elapsed: time.Since(start)}
	for i := range tallies {
		total.add(&tallies[i])
	}
	return total
}

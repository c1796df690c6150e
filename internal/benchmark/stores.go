package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/labstack/echo/v4/middleware"
	golimiter "github.com/sethvargo/go-limiter"
	"github.com/sethvargo/go-limiter/memorystore"
	"golang.org/x/time/rate"
)

const oursInMemoryName = "ratelimit MemoryStore"

// inMemory are the contestants that limit within one process.
func inMemory() []contestant {
	return []contestant{
		{
			name: oursInMemoryName, algorithm: "sliding log, exact", role: own, admits: oncePerWindow,
			open: func(_ context.Context, _ place, d demand) (decide, func(), error) {
				store, err := newMemoryStore(nil)
				if err != nil {
					return nil, nil, err
				}
				limiter, err := newLimiter(store, d)
				if err != nil {
					return nil, nil, err
				}
				return decideBy(limiter, d.cost()), func() { closeStore(store) }, nil
			},
		},
		{
			name: "sethvargo/go-limiter", algorithm: "fixed tick, full refill", module: "github.com/sethvargo/go-limiter", admits: perClockWindow,
			open: func(ctx context.Context, _ place, d demand) (decide, func(), error) {
				store, err := memorystore.New(&memorystore.Config{Tokens: uint64(d.Limits[0].Max), Interval: d.Limits[0].Window})
				if err != nil {
					return nil, nil, err
				}
				return decideByGoLimiter(store), func() { _ = store.Close(ctx) }, nil
			},
		},
		ululeInMemory(),
		{
			name: "x/time/rate in a sync.Map", algorithm: "token bucket", settings: "never forgets a key", module: "golang.org/x/time", admits: burstAndRate,
			open: func(_ context.Context, _ place, d demand) (decide, func(), error) {
				var buckets sync.Map
				q := d.Limits[0]
				return func(_ context.Context, key string) (bool, error) {
					bucket, ok := buckets.Load(key)
					if !ok {
						bucket, _ = buckets.LoadOrStore(key, rate.NewLimiter(refill(q), int(q.Max)))
					}
					return bucket.(*rate.Limiter).Allow(), nil
				}, func() {}, nil
			},
		},
		{
			name: "echo RateLimiterMemoryStore", algorithm: "token bucket", module: "github.com/labstack/echo/v4", admits: burstAndRate,
			open: func(_ context.Context, _ place, d demand) (decide, func(), error) {
				q := d.Limits[0]
				store := middleware.NewRateLimiterMemoryStoreWithConfig(middleware.RateLimiterMemoryStoreConfig{Rate: refill(q), Burst: int(q.Max)})
				return func(_ context.Context, key string) (bool, error) { return store.Allow(key) }, func() {}, nil
			},
		},
	}
}

func decideByGoLimiter(store golimiter.Store) decide {
	return func(ctx context.Context, key string) (bool, error) {
		_, _, _, ok, err := store.Take(ctx, key)
		return ok, err
	}
}

func refill(q quota) rate.Limit { return rate.Limit(float64(q.Max) / q.Window.Seconds()) }

// storeRound is one measurement of a store in memory. Its calls are not timed one by one:
// the clock would cost as much as they do.
type storeRound struct {
	calls, admitted int64
	errors          int64
	perCall         float64 // ns of the wall clock
	allocations     float64 // per call
	bytes           float64
	while           time.Duration
}

const callsBetweenClocks = 256

// measureStore has a goroutine per processor ask for a while.
func measureStore(ctx context.Context, ask decide, keys []string, fill int, while time.Duration) storeRound {
	began := time.Now()
	before := askInTurn(ctx, ask, keys, runtime.GOMAXPROCS(0), fill*len(keys))
	runtime.GC()
	tallies := make([]tally, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	from := time.Now()
	for i := range tallies {
		wg.Go(func() {
			var t tally // of its own cache lines
			key := i * len(keys) / len(tallies)
			for time.Since(from) < while {
				for range callsBetweenClocks {
					t.count(ask(ctx, keys[key%len(keys)]))
					key++
				}
			}
			tallies[i] = t
		})
	}
	wg.Wait()
	elapsed := time.Since(from)
	runtime.ReadMemStats(&end)
	var t tally
	for i := range tallies {
		t.add(&tallies[i])
	}
	calls := float64(t.Decisions + t.Errors)
	return storeRound{
		calls: before.Decisions + t.Decisions, admitted: before.Admitted + t.Admitted, errors: before.Errors + t.Errors,
		perCall:     float64(elapsed) / calls,
		allocations: float64(end.Mallocs-start.Mallocs) / calls,
		bytes:       float64(end.TotalAlloc-start.TotalAlloc) / calls,
		while:       time.Since(began),
	}
}

// measureStores compares the stores in memory.
func (b *bench) measureStores(ctx context.Context) error {
	for _, outcome := range []struct {
		file, title, note string
		quota             quota
		fill              int
	}{
		// In a window this short hits leave as others come, as in a server that runs for long:
		// in a longer one, with a Max that never refuses, a log would only grow.
		{"stores-allowed", "In memory, all allowed: 1,000 keys, a goroutine per processor", "A window of 10ms, and a Max that never refuses.",
			quota{1_000_000_000, 10 * time.Millisecond}, 20},
		{"stores-refused", "In memory, all refused: 1,000 keys of 1 an hour, a goroutine per processor", "", quota{1, time.Hour}, 2},
	} {
		contestants := inMemory()
		rounds := make([][]storeRound, len(contestants))
		keys := keyNames("user", 1000)
		for round := range b.rounds {
			for turn := range contestants {
				i := (turn + round) % len(contestants)
				ask, closeIt, err := contestants[i].open(ctx, place{}, one(outcome.quota))
				if err != nil {
					return fmt.Errorf("%s: %w", contestants[i].name, err)
				}
				rounds[i] = append(rounds[i], measureStore(ctx, ask, keys, outcome.fill, b.cell/2))
				closeIt()
			}
		}
		t := &table{file: outcome.file, title: outcome.title, note: outcome.note,
			header: []string{"store", "algorithm", "ns per call", "x ours", "allocations", "bytes", "asked", "admitted", "may admit", "errors"}}
		bars := &bars{title: outcome.title, y: "ns per call", groups: []string{"ns per call"}}
		own := medianOf(rounds[0], func(r storeRound) float64 { return r.perCall })
		for i, c := range contestants {
			ns := medianOf(rounds[i], func(r storeRound) float64 { return r.perCall })
			last := rounds[i][len(rounds[i])-1]
			may := min(float64(last.calls), float64(len(keys))*c.admits(outcome.quota, last.while))
			admitted := fmt.Sprint(last.admitted)
			if float64(last.admitted) > may {
				admitted += " OVER"
			}
			t.add(c.name, c.algorithm, count(ns), ratio(ns, own),
				commandCount(medianOf(rounds[i], func(r storeRound) float64 { return r.allocations })),
				count(medianOf(rounds[i], func(r storeRound) float64 { return r.bytes })),
				fmt.Sprint(last.calls), admitted, count(may), fmt.Sprint(last.errors))
			bars.add(c.name, ns)
		}
		if err := b.report.table(t); err != nil {
			return err
		}
		if err := b.report.plot(outcome.file, bars.plot); err != nil {
			return err
		}
	}
	return nil
}

func medianOf(rounds []storeRound, get func(storeRound) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = get(r)
	}
	return median(values)
}

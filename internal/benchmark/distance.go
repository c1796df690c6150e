package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	distantRate    = 2000 // calls a second
	distantPool    = 256  // connections: with the default of 20, no more than 1000 calls a second fit 20 ms
	distantCallers = 128  // who open connections before: more than are in use at a time
	distantCell    = 4    // times as long as other measurements: p99 is that of few calls

	// After so long nobody waits for an answer.
	patience = 5 * time.Second
)

func distances() []time.Duration {
	return []time.Duration{0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond}
}

func distanceName(d time.Duration) string { return fmt.Sprintf("distance-%dms", d.Milliseconds()) }

// atDistance are the scenarios with a network between the client and Redis.
func atDistance(b *bench) []scenario {
	var all []scenario
	for _, d := range distances() {
		w := work{Demand: one(perMinute), Keys: fewKeys, Callers: distantCallers, Rate: distantRate}
		where := "through a process that holds up each direction for half of that"
		if d == 0 {
			where = "without anything between"
		}
		all = append(all, scenario{
			file:  distanceName(d),
			title: fmt.Sprintf("Redis %d ms away, 2,000 calls a second", d.Milliseconds()),
			note: "An open loop: calls come when chance will have it, the same for all, whether or not others were answered; their latency counts " +
				"from when they were to begin. Redis is reached " + where + ". go-redis has a pool of 256 connections here.",
			work: w, needs: []feature{farAway}, rounds: b.someRounds(),
			measuring: func(_ context.Context, b *bench) (measuring, error) {
				s, err := b.distant(d)
				if err != nil {
					return nil, err
				}
				return b.measuring(s, w, distantCell*b.cell), nil
			},
		})
	}
	return all
}

// distant is the run's Redis from far away.
func (b *bench) distant(away time.Duration) (*server, error) {
	s := *b.server
	s.Pool = distantPool
	if away == 0 {
		return &s, nil
	}
	proxy, err := startChild(order{Task: taskProxy, Place: s.place, Delay: away / 2}, 0)
	if err != nil {
		return nil, err
	}
	b.atEnd = append(b.atEnd, proxy.end)
	s.Addrs = []string{proxy.addr}
	return &s, nil
}

// arrivals are when calls come, from the start on: with gaps that chance decides, always the same.
func arrivals(perSecond float64, while time.Duration) []time.Duration {
	random := rand.New(rand.NewPCG(1, 0))
	var all []time.Duration
	for at := 0.0; ; {
		at += random.ExpFloat64() / perSecond
		next := time.Duration(at * float64(time.Second))
		if next >= while {
			return all
		}
		all = append(all, next)
	}
}

// openLoop makes each call when its time has come, whether or not others were answered, for one
// key after the other. The latency of a call counts from that time.
func openLoop(ctx context.Context, ask decide, keys []string, times []time.Duration) (*tally, error) {
	alarm, err := newAlarm()
	if err != nil {
		return nil, err
	}
	defer alarm.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		latency time.Duration
		allowed bool
		err     error
	}
	answers := make([]answer, len(times))
	var wg sync.WaitGroup
	cpu, start := cpuTime(), time.Now()
	for i, at := range times {
		if err := alarm.wait(start.Add(at)); err != nil {
			return nil, err
		}
		wg.Go(func() {
			a := &answers[i]
			a.allowed, a.err = ask(ctx, keys[i%len(keys)])
			a.latency = time.Since(start) - at
		})
	}
	giveUp := time.AfterFunc(patience, cancel)
	wg.Wait()
	giveUp.Stop()
	t := &tally{Elapsed: time.Since(start), ClientCPU: cpuTime() - cpu}
	for a := range slices.Values(answers) {
		t.count(a.allowed, a.err)
		t.latency.add(a.latency)
	}
	return t, nil
}

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// kind is a kind of call, which has a table for each number of callers.
type kind struct {
	name  string // of the tables, before the number of callers
	title string
	note  string
	work  work // with any number of callers
}

const (
	oneHit  = "Each key has one hit before the measurement: else who is fast would have fewer keys to create."
	steady  = "Measured after traffic of 1.2 windows, so that hits leave as others come."
	calls   = "Limiters of one limit make a call for each, the second one only if the first allows."
	threeAt = 3 // units a call
)

// filling and steadily are the two states of the logs: they grow, or hits leave them as others come.
func (b *bench) filling(d demand) work { return work{Demand: d, Keys: b.keys(), Fill: 1} }

func (b *bench) steadily(limits int, cost int64) work {
	window := time.Second
	if b.short {
		window /= 10
	}
	all := []quota{{100_000, window}, {50_000, window / 2}}
	return work{Demand: demand{all[:limits], cost}, Keys: b.keys() / 5, Settle: window + window/5}
}

func (b *bench) allowed() kind {
	return kind{"allowed", "All allowed: " + thousands(b.keys()) + " keys of 100 a minute", oneHit, b.filling(one(perMinute))}
}

// kinds are those of a part, other than the simplest one.
func (b *bench) kinds(part string) []kind {
	steadyTitle := thousands(b.keys()/5) + " keys of 100,000 in %v"
	two := demand{Limits: []quota{perMinute, {1000, time.Hour}}}
	three := demand{Limits: []quota{perMinute}, Cost: threeAt}
	window := b.steadily(1, 1).Demand.Limits[0].Window
	switch part {
	case "steady":
		return []kind{{"steady", "Steady state: " + fmt.Sprintf(steadyTitle, window), steady, b.steadily(1, 1)}}
	case "limits":
		return []kind{
			{"limits-filling", "Two limits: " + thousands(b.keys()) + " keys of 100 a minute and 1,000 an hour", oneHit + " " + calls, b.filling(two)},
			{"limits-steady", "Two limits, steady state: " + fmt.Sprintf(steadyTitle+" and 50,000 in %v", window, window/2), steady + " " + calls, b.steadily(2, 1)},
		}
	default:
		return []kind{
			{"costs-filling", "3 units a call: " + thousands(b.keys()) + " keys of 100 a minute", oneHit, b.filling(three)},
			{"costs-steady", "3 units a call, steady state: " + fmt.Sprintf(steadyTitle, window), steady, b.steadily(1, threeAt)},
		}
	}
}

func rowName(kind string, callers int) string { return kind + "-c" + strconv.Itoa(callers) }

func (k kind) scenarios(callers []int, needs []feature, rounds int) []scenario {
	var all []scenario
	for _, n := range callers {
		s := scenario{
			file: rowName(k.name, n), title: fmt.Sprintf("%s, %d concurrent callers", k.title, n), note: k.note,
			work: k.work, needs: needs, rounds: rounds,
		}
		s.work.Callers = n
		all = append(all, s)
	}
	return all
}

// ofKinds are the scenarios of the part. Where hits must leave first, a measurement takes longer:
// so there are fewer rounds, and those limiters that no state changes are left out.
func ofKinds(part string) func(b *bench) []scenario {
	return func(b *bench) []scenario {
		var needs []feature
		if part == "costs" {
			needs = append(needs, costs)
		}
		if !b.long {
			needs = append(needs, state)
		}
		var all []scenario
		for _, k := range b.kinds(part) {
			all = append(all, k.scenarios(b.callers(), needs, b.someRounds())...)
		}
		return all
	}
}

// someRounds are for scenarios whose measurements take long.
func (b *bench) someRounds() int { return max(1, (b.rounds+1)/2) }

func simplest(b *bench) []scenario {
	return append(b.allowed().scenarios(b.callers(), nil, 0),
		scenario{
			file:  "hot-c64",
			title: "One hot key, all allowed: 10,000,000 a minute, 64 concurrent callers",
			note:  "The log of the key grows by an entry for each call; a counter does not.",
			work:  work{Demand: one(quota{Max: hotLimit, Window: time.Minute}), Keys: 1, Callers: 64},
		},
		scenario{
			file:  "refused-c64",
			title: "All refused: 100 keys of 10 a minute, 64 concurrent callers",
			note:  "Each key was asked for 11 times before, which is among the admitted.",
			work:  work{Demand: one(quota{Max: refusedMax, Window: time.Minute}), Keys: 100, Callers: 64, Fill: refusedMax + 1},
		})
}

// oneProcessor is for containers that have no more.
func oneProcessor(b *bench) []scenario {
	all := b.allowed().scenarios([]int{64}, nil, 0)
	s := &all[0]
	s.file, s.title = "allowed-c64-cpu1", s.title+", GOMAXPROCS=1"
	s.note += " The calls are made by a process of its own."
	w := s.work
	s.measuring = func(_ context.Context, b *bench) (measuring, error) {
		return func(ctx context.Context, c contestant, round int) (measurement, error) {
			return b.measureChildren(ctx, b.server, c, w, 1, 1, round)
		}, nil
	}
	return all
}

// plotSimplest plots what simplest came to.
func (b *bench) plotSimplest() error {
	for _, s := range simplest(b) {
		if results := b.results[s.file]; results != nil && (s.file == "hot-c64" || s.file == "refused-c64") {
			if err := b.report.plot(s.file, barsOfRates(s.title, results)); err != nil {
				return err
			}
		}
	}
	if err := b.plotByCallers("throughput", b.allowed(), &curves{y: "decisions/s"}, perSecond); err != nil {
		return err
	}
	return b.plotByCallers("latency", b.allowed(), &curves{y: "p99, us", logY: true}, func(f figures) float64 { return f.p99 / 1000 })
}

// plotKinds plots the decisions a second of each kind of a part.
func plotKinds(part string) func(*bench) error {
	return func(b *bench) error {
		for _, k := range b.kinds(part) {
			if err := b.plotByCallers(k.name, k, &curves{y: "decisions/s"}, perSecond); err != nil {
				return err
			}
		}
		return nil
	}
}

func (b *bench) plotByCallers(file string, k kind, c *curves, get func(figures) float64) error {
	c.title, c.x = k.title, "concurrent callers"
	for _, n := range b.callers() {
		for _, r := range b.results[rowName(k.name, n)] {
			c.add(r.name, float64(n), get(r.figures))
		}
	}
	if len(c.names) == 0 {
		return nil // not measured
	}
	return b.report.plot(file, c.plot)
}

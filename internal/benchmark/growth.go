package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

const (
	growthCallers = 64
	growthHits    = 50_000  // in all logs together, if one is not longer
	flowHits      = 100_000 // a second, about
	flowWindow    = 500 * time.Millisecond
)

// growing tells whether a decision costs more when there is more of something.
type growing struct {
	file  string
	title string
	note  string
	of    string // what grows
	steps []growthStep
}

type growthStep struct {
	size int
	kind string // of the row, beside its size
	work work
}

func (b *bench) growths() []growing {
	limits := growing{
		file: "growth-limit", of: "hits", title: "Growth with the hits in a log, 64 concurrent callers",
		note: "refused: that many hits are the limit, and are there. allowed: they are there, and the limit is far. " +
			"moving: hits leave a window of 500ms as others come; so many are in a log at 100,000 a second.",
	}
	sizes := []int{10, 100, 1000, 10_000, 100_000}
	if b.short {
		sizes = []int{10, 1000}
	}
	for _, size := range sizes {
		keys := max(1, growthHits/size)
		moving := max(1, int(flowHits*flowWindow.Seconds())/size)
		limits.steps = append(limits.steps,
			growthStep{size, "allowed", work{Demand: one(quota{hotLimit, time.Minute}), Keys: keys, Callers: growthCallers, Fill: size}},
			growthStep{size, "refused", work{Demand: one(quota{int64(size), time.Minute}), Keys: keys, Callers: growthCallers, Fill: size + 1}},
			growthStep{size, "moving", work{Demand: one(quota{hotLimit, flowWindow}), Keys: moving, Callers: growthCallers, Settle: flowWindow + flowWindow/5}})
	}

	keys := growing{
		file: "growth-keys", of: "keys", title: "Growth with the number of keys, 100 a minute, 64 concurrent callers",
		note: "Each key has one hit before the measurement.",
	}
	sizes = []int{1000, 10_000, 100_000}
	if b.long {
		sizes = append(sizes, 1_000_000)
	}
	if b.short {
		sizes = sizes[:2]
	}
	for _, size := range sizes {
		keys.steps = append(keys.steps, growthStep{size, "allowed", work{Demand: one(perMinute), Keys: size, Callers: growthCallers, Fill: 1}})
	}
	return []growing{limits, keys}
}

// measureGrowth compares ours with itself, and with a counter, which knows no growth.
func (b *bench) measureGrowth(ctx context.Context) error {
	contestants := contestantsNamed(oursName, fixedWindowOnRueidis().name)
	for _, g := range b.growths() {
		t := &table{file: g.file, title: g.title, note: g.note + " x smallest: Redis CPU per decision over that of the smallest " + g.of + ".",
			header: []string{"limiter", "calls", g.of, "decisions/s", "p99 us", "client CPU us", "Redis CPU us", "x smallest", "sent", "run in Redis", "asked", "admitted", "may admit", "errors"}}
		curves := &curves{title: g.title, x: g.of, y: "Redis CPU per decision, us"}
		smallest := map[string]float64{}
		for _, step := range g.steps {
			results, err := compare(ctx, contestants, step.work.Demand, step.work.Keys, b.fewerRounds(), b.measuring(b.server, step.work, b.cell))
			if err != nil {
				return err
			}
			for _, r := range results {
				curve := r.name + ", " + step.kind
				if smallest[curve] == 0 {
					smallest[curve] = r.redisCPU
				}
				t.add(r.name, step.kind, strconv.Itoa(step.size), count(r.perSecond), microseconds(r.p99), microseconds(r.clientCPU), microseconds(r.redisCPU),
					ratio(r.redisCPU, smallest[curve]), commandCount(r.sent), commandCount(r.ran),
					fmt.Sprint(r.asked), fmt.Sprint(r.admitted), count(r.may), fmt.Sprint(r.errors))
				curves.add(curve, float64(step.size), r.redisCPU/1000)
			}
		}
		if err := b.report.table(t); err != nil {
			return err
		}
		if err := b.report.plot(g.file, curves.plot); err != nil {
			return err
		}
	}
	return nil
}

// fewerRounds are for growth: a step is compared with others of the same limiter, by what it costs
// in Redis, which other work on the machine hardly changes; and there are many steps.
func (b *bench) fewerRounds() int { return max(1, b.rounds/3) }

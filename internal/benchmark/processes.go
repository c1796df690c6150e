package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const processCallers = 16 // in each process

// measureChildren measures one round of several processes that share a quota, each with so many
// processors to use; 0 for all.
func (b *bench) measureChildren(ctx context.Context, s *server, c contestant, w work, processes, procs, round int) (m measurement, err error) {
	if err := s.empty(ctx); err != nil {
		return m, err
	}
	began := time.Now()
	all := make([]*child, 0, processes)
	defer func() {
		for _, p := range all {
			err = errors.Join(err, p.end())
		}
	}()
	for range processes {
		p, err := startChild(order{Task: taskLoad, Contestant: c.name, Place: s.place, Work: w, CPUProfile: b.cpuProfile}, procs)
		if err != nil {
			return m, err
		}
		all = append(all, p)
	}
	m, err = s.during(ctx, func() (*tally, error) { return together(all, b.cell) })
	m.while = time.Since(began)
	if err == nil && round == 0 {
		m.share, err = s.watch(ctx, func() error {
			_, err := together(all, watchFor)
			return err
		})
	}
	return m, err
}

// together has processes make calls at the same time.
func together(all []*child, while time.Duration) (*tally, error) {
	var total tally
	for _, p := range all {
		if err := p.tell(while.String()); err != nil {
			return nil, err
		}
	}
	for _, p := range all {
		var report childReport
		if err := p.answer(&report); err != nil {
			return nil, err
		}
		for bucket, n := range report.Latency {
			report.Tally.latency[bucket] = n
		}
		total.add(&report.Tally)
	}
	return &total, nil
}

// measureProcesses tells whether a decision costs more when more processes share the quota.
func (b *bench) measureProcesses(ctx context.Context) error {
	numbers := []int{1, 2, 4, 8}
	if b.short {
		numbers = []int{1, 2}
	}
	t := &table{file: "growth-processes", title: "Growth with the number of processes, " + thousands(b.keys()) + " keys of 100 a minute, 16 concurrent callers in each",
		note:   "x smallest: CPU per decision, of all clients and of Redis together, over that of one process.",
		header: []string{"limiter", "processes", "decisions/s", "p50 us", "p99 us", "client CPU us", "Redis CPU us", "x smallest", "asked", "admitted", "may admit", "errors"}}
	curves := &curves{title: t.title, x: "processes", y: "CPU per decision, us"}
	w := work{Demand: one(perMinute), Keys: b.keys(), Callers: processCallers}
	contestants := contestantsNamed(oursName, fixedWindowOnRueidis().name, rueidisLimiterName, incrName)
	smallest := map[string]float64{}
	for _, n := range numbers {
		results, err := compare(ctx, contestants, w.Demand, w.Keys, b.fewerRounds(), func(ctx context.Context, c contestant, round int) (measurement, error) {
			return b.measureChildren(ctx, b.server, c, w, n, 0, round)
		})
		if err != nil {
			return err
		}
		for _, r := range results {
			cost := r.clientCPU + r.redisCPU
			if smallest[r.name] == 0 {
				smallest[r.name] = cost
			}
			t.add(r.name, strconv.Itoa(n), count(r.perSecond), microseconds(r.p50), microseconds(r.p99), microseconds(r.clientCPU), microseconds(r.redisCPU),
				ratio(cost, smallest[r.name]), fmt.Sprint(r.asked), fmt.Sprint(r.admitted), count(r.may), fmt.Sprint(r.errors))
			curves.add(r.name, float64(n), cost/1000)
		}
	}
	if err := b.report.table(t); err != nil {
		return err
	}
	return b.report.plot(t.file, curves.plot)
}

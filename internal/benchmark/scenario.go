package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// scenario is work that all contestants do, and a table of results.
type scenario struct {
	file  string // of the table; -row chooses by it
	title string
	note  string
	work  work

	contestants []contestant // nil stands for onRedis
	needs       []feature    // of a contestant, else it is left out
	rounds      int

	// measuring is how; nil stands for a load of this process on the run's Redis.
	measuring func(ctx context.Context, b *bench) (measuring, error)
}

const (
	manyKeys   = 10_000
	fewKeys    = 1000       // where a run is short, or where latency is all that counts
	hotLimit   = 10_000_000 // so much that no limiter refuses, and that fits all of their arithmetic
	refusedMax = 10
)

var perMinute = quota{Max: 100, Window: time.Minute}

func (b *bench) keys() int {
	if b.short {
		return fewKeys
	}
	return manyKeys
}

func (b *bench) callers() []int {
	if b.short {
		return []int{1, 64}
	}
	return []int{1, 8, 64, 256}
}

// measuring has this process make the calls.
func (b *bench) measuring(s *server, w work, while time.Duration) measuring {
	return func(ctx context.Context, c contestant, round int) (measurement, error) {
		return b.measure(ctx, s, c, w, while, round)
	}
}

var resultHeader = []string{
	"limiter", "algorithm", "decisions/s", "x INCR", "x ours", "p50 us", "p99 us", "client CPU us", "Redis CPU us",
	"sent", "run in Redis", "asked", "admitted", "exact", "may admit", "errors",
}

const resultNote = "Per decision: CPU of the client's process and of Redis, commands that clients sent and commands that Redis ran, those of scripts " +
	"included. Ratios are medians of those within a round. Of the round nearest to its bound: calls asked, admitted, what an exact limiter admits and what this algorithm may. " +
	"Calls that failed (errors) are no decisions."

func resultTable(s scenario, results []result) *table {
	t := &table{file: s.file, title: s.title, note: s.note, header: resultHeader}
	floor, own := named(results, incrName), named(results, oursName)
	for _, r := range results {
		admitted := fmt.Sprint(r.admitted)
		if r.overran() {
			admitted += " OVER"
		}
		t.add(r.name, r.algorithm, count(r.perSecond), ratio(r.over(floor, perSecond), 1), ratio(r.over(own, perSecond), 1),
			microseconds(r.p50), microseconds(r.p99), microseconds(r.clientCPU), microseconds(r.redisCPU),
			commandCount(r.sent), commandCount(r.ran), fmt.Sprint(r.asked), admitted, count(r.exact), count(r.may), fmt.Sprint(r.errors))
	}
	return t
}

func named(results []result, name string) result {
	for _, r := range results {
		if r.name == name {
			return r
		}
	}
	return result{}
}

// runScenarios runs those that were chosen, one after the other.
func (b *bench) runScenarios(ctx context.Context, scenarios []scenario) error {
	for _, s := range scenarios {
		if len(b.rows) > 0 && !slices.Contains(b.rows, s.file) {
			continue
		}
		if err := b.runScenario(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.file, err)
		}
	}
	return nil
}

func (b *bench) runScenario(ctx context.Context, s scenario) error {
	contestants := s.contestants
	if contestants == nil {
		contestants = onRedis()
	}
	contestants, leftOut := having(contestants, s.needs...)
	s.note = strings.TrimSpace(s.note + " " + leftOut)
	if b.cpuProfile != "" {
		contestants = slices.DeleteFunc(contestants, func(c contestant) bool { return c.role != own })
	}
	measure := b.measuring(b.server, s.work, b.cell)
	if s.measuring != nil {
		var err error
		if measure, err = s.measuring(ctx, b); err != nil {
			return err
		}
	}
	results, err := compare(ctx, contestants, s.work.Demand, s.work.Keys, cmp.Or(s.rounds, b.rounds), measure)
	if err != nil {
		return err
	}
	b.results[s.file] = results
	return b.report.table(resultTable(s, results))
}

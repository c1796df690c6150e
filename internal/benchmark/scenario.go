package main

import (
	"context"
	"fmt"
	"time"
)

// scenario is work that all contestants do.
type scenario struct {
	file  string
	title string
	note  string
	work  work
}

const (
	manyKeys   = 10_000
	hotLimit   = 10_000_000 // so much that no limiter refuses, and that fits all of their arithmetic
	refusedMax = 10
)

// callScenarios are those with a row for every contestant.
func callScenarios() []scenario {
	allowed := quota{Max: 100, Window: time.Minute}
	var all []scenario
	for _, callers := range []int{1, 8, 64, 256} {
		all = append(all, scenario{
			file:  fmt.Sprintf("allowed-c%d", callers),
			title: fmt.Sprintf("All allowed: 10,000 keys of 100 a minute, %d concurrent callers", callers),
			note:  "Each key has one hit before the measurement: else who is fast would have fewer keys to create.",
			work:  work{Quota: allowed, Keys: manyKeys, Callers: callers, Fill: 1},
		})
	}
	return append(all,
		scenario{
			file:  "hot-c64",
			title: "One hot key, all allowed: 10,000,000 a minute, 64 concurrent callers",
			note:  "The log of the key grows by an entry for each call; a counter does not.",
			work:  work{Quota: quota{Max: hotLimit, Window: time.Minute}, Keys: 1, Callers: 64},
		},
		scenario{
			file:  "refused-c64",
			title: "All refused: 100 keys of 10 a minute, 64 concurrent callers",
			note:  "Each key was asked for 11 times before, which is among the admitted.",
			work:  work{Quota: quota{Max: refusedMax, Window: time.Minute}, Keys: 100, Callers: 64, Fill: refusedMax + 1},
		})
}

var resultHeader = []string{
	"limiter", "algorithm", "decisions/s", "x INCR", "x ours", "p50 us", "p99 us", "client CPU us", "Redis CPU us",
	"sent", "run in Redis", "asked", "admitted", "exact", "may admit", "errors",
}

const resultNote = "Per decision: CPU of this process and of Redis, commands that clients sent and commands that Redis ran, those of scripts " +
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
		t.add(r.name, r.algorithm, count(r.perSecond), ratio(r.times(floor), 1), ratio(r.times(own), 1),
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

// compareCalls runs the scenarios and plots what they came to.
func (b *bench) compareCalls(ctx context.Context) error {
	byCallers := map[int][]result{}
	for _, s := range callScenarios() {
		results, err := b.server.compare(ctx, onRedis(), s.work, b.rounds, b.cell)
		if err != nil {
			return err
		}
		if err := b.report.table(resultTable(s, results)); err != nil {
			return err
		}
		switch s.file {
		case "hot-c64", "refused-c64":
			err = b.report.plot(s.file, barsOfRates(s.title, results))
		default:
			byCallers[s.work.Callers] = results
		}
		if err != nil {
			return err
		}
	}
	if err := b.report.plot("throughput", linesByCallers(&curves{y: "decisions/s"}, byCallers,
		func(r result) float64 { return r.perSecond })); err != nil {
		return err
	}
	return b.report.plot("latency", linesByCallers(&curves{y: "p99, us", logY: true}, byCallers,
		func(r result) float64 { return float64(r.p99) / float64(time.Microsecond) }))
}

package main

import (
	"fmt"
	"math"
	"strconv"
)

// target is something that the speed of ours is to reach, in a run on a quiet machine.
type target struct {
	what   string
	bound  float64
	atMost bool // else at least
	rows   []string
	value  func(t *standing) (value float64, of string) // NaN if it was not measured
}

// standing is what targets are read from: the results of one row.
type standing struct {
	results []result
	own     result
}

// The rows of peers that targets compare with.
var (
	anyLimiter   = func(r result) bool { return r.role == peer }
	fixedWindows = func(r result) bool { return r.role == peer && r.algorithm == "fixed window" }
	onlyRueidis  = func(r result) bool { return r.name == rueidisLimiterName }
	onlyByHand   = func(r result) bool { return r.role == byHand }
)

// against is a figure as a multiple of the best one among some others.
func against(others func(result) bool, get func(figures) float64) func(*standing) (float64, string) {
	moreIsBetter := get(figures{perSecond: 1}) > 0
	return func(s *standing) (float64, string) {
		var best result
		for _, r := range s.results {
			if others(r) && (best.name == "" || get(r.figures) > get(best.figures) == moreIsBetter) {
				best = r
			}
		}
		return s.own.over(best, get), best.name
	}
}

// ofLeases is a figure of ours with leases as a multiple of another's.
func ofLeases(other string, get func(figures) float64) func(*standing) (float64, string) {
	return func(s *standing) (float64, string) {
		return named(s.results, leasedName).over(named(s.results, other), get), other
	}
}

func everyRow(kinds []string, callers ...int) []string {
	var all []string
	for _, k := range kinds {
		for _, n := range callers {
			all = append(all, rowName(k, n))
		}
	}
	return all
}

func targets() []target {
	ratesOf := against(anyLimiter, perSecond)
	allowed := func(callers ...int) []string { return everyRow([]string{"allowed"}, callers...) }
	far := []string{distanceName(distances()[2]), distanceName(distances()[3])}
	return []target{
		{"p50, against the best limiter", 1.2, true, allowed(1), against(anyLimiter, p50)},
		{"client CPU, against the best limiter", 1.1, true, allowed(1), against(anyLimiter, clientCPU)},
		{"decisions/s, against the best limiter", 1.1, false, allowed(8), ratesOf},
		{"decisions/s, against the best limiter", 1.5, false, allowed(64, 256), ratesOf},
		{"p99, against the best limiter", 0.7, true, allowed(64, 256), against(anyLimiter, p99)},
		{"decisions/s, against the best limiter", 1.15, false, []string{"allowed-c64-cpu1"}, ratesOf},
		{"Redis CPU, against rueidislimiter", 0.5, true, allowed(64), against(onlyRueidis, redisCPU)},
		{"decisions/s, against rueidislimiter", 1.1, false, everyRow([]string{"cluster"}, 8, 64, 256), against(onlyRueidis, perSecond)},
		{"client CPU, against rueidislimiter", 1, true, everyRow([]string{"cluster"}, 8, 64, 256), against(onlyRueidis, clientCPU)},
		{"decisions/s, against the best fixed window", 0.95, false, []string{"steady-c8"}, against(fixedWindows, perSecond)},
		{"decisions/s, against the best fixed window", 0.85, false, []string{"steady-c64"}, against(fixedWindows, perSecond)},
		{"decisions/s, against the best limiter", 1.3, false, []string{"limits-filling-c64"}, ratesOf},
		{"decisions/s, against the best limiter", 1, false, []string{"limits-steady-c64"}, ratesOf},
		{"decisions/s, against the best limiter", 1.1, false, []string{"costs-filling-c64"}, ratesOf},
		{"decisions/s, against the best limiter", 0.85, false, []string{"costs-steady-c64"}, ratesOf},
		{"decisions/s, against the ZSET script", 1.5, false,
			everyRow([]string{"allowed", "steady", "limits-filling", "limits-steady", "costs-filling", "costs-steady"}, 1, 8, 64, 256), against(onlyByHand, perSecond)},
		{"requests/s, against the best limiter", 1, false, []string{"echo-c4"}, ratesOf},
		{"requests/s, against the best limiter", 1.1, false, []string{"echo-c64"}, ratesOf},
		{"p50, against the best limiter", 1.03, true, far, against(anyLimiter, p50)},
		{"p99, against the best limiter", 1.1, true, far, against(anyLimiter, p99)},
		{"decisions/s, against the best limiter", 45, false, []string{"refused-c64"}, ratesOf},
		{"with leases: decisions/s, against INCR", 10, false, []string{leasedHotRow}, ofLeases(incrName, perSecond)},
		{"with leases: commands sent a decision", 0.01, true, []string{leasedHotRow}, func(s *standing) (float64, string) { return named(s.results, leasedName).sent, "" }},
		{"with leases: Redis CPU, against none", 0.5, true, []string{leasedZipfRow}, ofLeases(oursName, redisCPU)},
		{"commands sent a decision", 0.001, true, []string{"refused-c64"}, func(s *standing) (float64, string) { return s.own.sent, "" }},
	}
}

// memoryTargets are bytes for each hit, by hits.
func memoryTargets() map[int]float64 { return map[int]float64{127: 23, 10_000: 112} }

// targetTable holds what was measured against the targets.
func (b *bench) targetTable() *table {
	t := &table{file: "targets", title: "Targets", note: "What ours is to reach, and what it did. Ratios are medians of those within a round, against the one whose own median is the best.",
		header: []string{"row", "what", "against", "measured", "target", "met"}}
	partial := len(b.chosen) < len(parts()) || len(b.rows) > 0
	add := func(row, what, of string, value, bound float64, atMost bool) {
		sign, met := ">=", value >= bound
		if atMost {
			sign, met = "<=", value <= bound
		}
		verdict := map[bool]string{true: "yes", false: "NO"}[met]
		measured := strconv.FormatFloat(value, 'g', 3, 64)
		if math.IsNaN(value) {
			if partial {
				return // nobody asked for it
			}
			measured, verdict = "-", "not measured"
		}
		t.add(row, what, of, measured, fmt.Sprintf("%s %v", sign, bound), verdict)
	}
	for _, target := range targets() {
		for _, row := range target.rows {
			value, of := math.NaN(), ""
			if results := b.results[row]; results != nil {
				value, of = target.value(&standing{results, named(results, oursName)})
			}
			add(row, target.what, of, value, target.bound, target.atMost)
		}
	}
	for _, hits := range []int{127, 10_000} {
		value, measured := b.memory[memoryCase{oursName, hits}]
		if !measured {
			value = math.NaN()
		}
		add("memory", fmt.Sprintf("bytes for each of %s hits", thousands(hits)), "", value, memoryTargets()[hits], true)
	}
	return t
}

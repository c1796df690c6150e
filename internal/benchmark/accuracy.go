package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"
)

// traffics are the calls that the algorithms are put to.
func traffics(q quota) []struct {
	name  string
	calls []time.Time
} {
	return []struct {
		name  string
		calls []time.Time
	}{
		{"edge burst", edgeBurst(q)},
		{"random", randomTraffic(q, 200, 1)},
	}
}

// admittedOf are the calls that an algorithm admits.
func admittedOf(a algorithm, q quota, calls []time.Time) ([]time.Time, error) {
	allow, err := a.open(q)
	if err != nil {
		return nil, err
	}
	var admitted []time.Time
	for _, at := range calls {
		ok, err := allow(at)
		if err != nil {
			return nil, err
		}
		if ok {
			admitted = append(admitted, at)
		}
	}
	return admitted, nil
}

// windowsOf is, for each admitted call, how many were admitted in the Window that ends with
// it, as a share of Max. A hit counts for exactly one Window: (t-Window, t].
func windowsOf(admitted []time.Time, q quota) []float64 {
	shares := make([]float64, len(admitted))
	first := 0
	for i, at := range admitted {
		for !admitted[first].After(at.Add(-q.Window)) {
			first++
		}
		shares[i] = float64(i-first+1) / float64(q.Max)
	}
	return shares
}

// shareAt is how many were admitted in the Window that ends at a time, as a share of Max.
func shareAt(admitted []time.Time, q quota, end time.Time) float64 {
	count := 0
	for _, at := range admitted {
		if !at.After(end) && at.After(end.Add(-q.Window)) {
			count++
		}
	}
	return float64(count) / float64(q.Max)
}

func worst(shares []float64) float64 {
	most := 0.0
	for _, share := range shares {
		most = math.Max(most, share)
	}
	return most
}

// simulate tells how much over Max each algorithm lets through in its worst window.
func (b *bench) simulate(context.Context) error {
	q := quota{Max: 100, Window: time.Minute}
	t := &table{file: "accuracy", title: "Accuracy: admitted in the worst window, over Max",
		note: "Simulated on a clock that is set, 100 a minute. edge burst: a client that spends a window at its end and the next at its beginning, " +
			"then asks on. random: bursts and lulls, twice Max on average, 200 windows. The references are implementations of the classic algorithms " +
			"in this benchmark; ratelimit is the real MemoryStore.",
		header: []string{"algorithm", "traffic", "asked", "admitted", "worst window"}}
	var names []string
	for _, traffic := range traffics(q) {
		names = append(names, traffic.name)
	}
	chart := &bars{title: t.title, y: "worst window / Max", groups: names, limit: 1}
	timeline := &curves{title: "Edge burst: admitted in the last Window, over Max", x: "seconds", y: "admitted / Max", linear: true}
	for _, a := range algorithms() {
		var values []float64
		for _, traffic := range traffics(q) {
			admitted, err := admittedOf(a, q, traffic.calls)
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			shares := windowsOf(admitted, q)
			t.add(a.name, traffic.name, strconv.Itoa(len(traffic.calls)), strconv.Itoa(len(admitted)), ratio(worst(shares), 1))
			values = append(values, worst(shares))
			if traffic.name == "edge burst" {
				// The first of the bursts tells it all.
				for since := time.Duration(0); since < 2*q.Window; since += q.Window / 240 {
					timeline.add(a.name, since.Seconds(), shareAt(admitted, q, begin.Add(since)))
				}
			}
		}
		chart.add(a.name, values...)
	}
	if err := b.report.table(t); err != nil {
		return err
	}
	if err := b.report.plot("accuracy", chart.plot); err != nil {
		return err
	}
	return b.report.plot("accuracy-edge", timeline.plot)
}

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// memoryCase is a figure of that table.
type memoryCase struct {
	limiter string
	hits    int
}

// measureMemory tells what a key takes in Redis after so many hits.
func (b *bench) measureMemory(ctx context.Context) error {
	hits := []int{1, 100, 127, 1000, 10_000}
	if b.short {
		hits = []int{1, 100, 127}
	}
	t := &table{file: "memory", title: "Memory of one key in Redis after so many hits, bytes",
		note:   "MEMORY USAGE of all keys that the calls for one key left, SAMPLES 0; in parentheses for each hit.",
		header: []string{"limiter", "algorithm"}}
	for _, n := range hits {
		t.header = append(t.header, strconv.Itoa(n))
	}
	curves := &curves{title: t.title, x: "hits", y: "bytes", logY: true}
	for _, c := range onRedis() {
		if c.role == floor {
			continue // a floor keeps what no limiter would
		}
		row := []string{c.name, c.algorithm}
		for _, n := range hits {
			bytes, err := b.server.memoryOf(ctx, c, n)
			if err != nil {
				return err
			}
			b.memory[memoryCase{c.name, n}] = float64(bytes) / float64(n)
			row = append(row, fmt.Sprintf("%d (%.1f)", bytes, float64(bytes)/float64(n)))
			curves.add(c.name, float64(n), float64(bytes))
		}
		t.add(row...)
	}
	if err := b.report.table(t); err != nil {
		return err
	}
	return b.report.plot(t.file, curves.plot)
}

// memoryOf is what one key takes after n admitted calls.
func (s *server) memoryOf(ctx context.Context, c contestant, n int) (bytes int64, err error) {
	if err := s.empty(ctx); err != nil {
		return 0, err
	}
	ask, closeIt, err := c.open(ctx, s.place, one(quota{Max: int64(2 * n), Window: 10 * time.Minute}))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.name, err)
	}
	defer closeIt()
	// A limiter that fails under contention gets its hits one after the other.
	for done, callers := int64(0), 8; done < int64(n); callers = 1 {
		t := askInTurn(ctx, ask, []string{"user:42"}, callers, n-int(done))
		if t.Admitted == 0 {
			return 0, fmt.Errorf("%s: none of %d calls was admitted", c.name, n)
		}
		done += t.Admitted
	}
	keys, err := s.do(ctx, "KEYS", "*").AsStrSlice()
	if err != nil {
		return 0, err
	}
	for _, key := range keys {
		used, err := s.do(ctx, "MEMORY", "USAGE", key, "SAMPLES", "0").AsInt64()
		if err != nil {
			return 0, err
		}
		bytes += used
	}
	return bytes, nil
}

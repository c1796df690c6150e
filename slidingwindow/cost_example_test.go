package slidingwindow_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// An LLM gateway limits requests and tokens: each call takes 1 of one and many of the other, or
// nothing.
func ExampleLimiter_AllowCost() {
	store, err := memory.New(memory.Config{})
	if err != nil {
		panic(err)
	}
	limiter, err := slidingwindow.New(store,
		slidingwindow.Limit{Name: "requests", Max: 60, Window: time.Minute},
		slidingwindow.Limit{Name: "tokens", Max: 2_000, Window: time.Minute})
	if err != nil {
		panic(err)
	}
	for range 2 {
		d, err := limiter.AllowCost(context.Background(), "tenant:9", slidingwindow.Cost{"requests": 1, "tokens": 1_200})
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Allowed)
		for _, s := range d.Statuses() {
			fmt.Println(s.Limit.Name, "took", s.Granted, "left", s.Remaining)
		}
	}
	// Output:
	// true
	// requests took 1 left 59
	// tokens took 1200 left 800
	// false
	// requests took 0 left 59
	// tokens took 0 left 800
}

// A worker fetches as many jobs as it may run.
func ExampleLimiter_AllowAtMost() {
	store, err := memory.New(memory.Config{})
	if err != nil {
		panic(err)
	}
	limiter, err := slidingwindow.New(store, slidingwindow.PerMinute(25))
	if err != nil {
		panic(err)
	}
	for range 3 {
		d, err := limiter.AllowAtMost(context.Background(), "api", 10)
		if err != nil {
			panic(err)
		}
		fmt.Println("jobs:", d.Granted)
	}
	// Output:
	// jobs: 10
	// jobs: 10
	// jobs: 5
}

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
	store := memory.New()
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
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerMinute(25))
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

// Tokens are taken by an estimate before the model is asked, and settled when their number is
// known. The request may have ended by then, with its context.
func ExampleLimiter_Settle() {
	ctx := context.Background()
	store := memory.New()
	limiter, err := slidingwindow.New(store,
		slidingwindow.Limit{Name: "requests", Max: 60, Window: time.Minute},
		slidingwindow.Limit{Name: "tokens", Max: 2_000, Window: time.Minute})
	if err != nil {
		panic(err)
	}
	d, err := limiter.AllowCost(ctx, "tenant:9", slidingwindow.Cost{"requests": 1, "tokens": 1_200})
	if err != nil {
		panic(err)
	}
	if err := limiter.Settle(ctx, "tenant:9", d, slidingwindow.Cost{"tokens": 350}); err != nil {
		panic(err)
	}
	d, err = limiter.Peek(ctx, "tenant:9")
	if err != nil {
		panic(err)
	}
	for _, s := range d.Statuses() {
		fmt.Println(s.Limit.Name, s.Remaining)
	}
	// Output:
	// requests 59
	// tokens 1650
}

// What cannot be estimated is charged afterwards. It may pass Max, and later calls pay.
func ExampleLimiter_Charge() {
	ctx := context.Background()
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "megabytes", Max: 100, Window: time.Hour})
	for _, size := range []int64{70, 70, 70} {
		d, err := limiter.Peek(ctx, "tenant:9")
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Allowed, d.Remaining)
		if !d.Allowed {
			continue
		}
		if err := limiter.Charge(ctx, "tenant:9", slidingwindow.Cost{"megabytes": size}); err != nil {
			panic(err)
		}
	}
	// Output:
	// true 100
	// true 30
	// false 0
}

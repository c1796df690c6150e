package slidingwindow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// complete has a model answer a tenant. The estimate is of all tokens that this can take.
func complete(ctx context.Context, limiter *slidingwindow.Limiter, tenant string, estimate int64) (err error) {
	d, err := limiter.AllowCost(ctx, tenant, limiter.Clamp(slidingwindow.Cost{
		"requests":   1,
		"tokens":     estimate,
		"day-tokens": 1, // the rest when it is known
	}))
	switch {
	case err != nil:
		return err // no decision, which is not a refusal
	case !d.Allowed:
		return fmt.Errorf("refused by %s: retry in %v", d.Limit.Name, d.RetryAfter)
	}
	used := int64(0)
	defer func() { // also if the client hangs up, which ends ctx
		err = errors.Join(err, limiter.Settle(ctx, tenant, d, slidingwindow.Cost{"tokens": used, "day-tokens": used}))
	}()
	used, err = askModel(ctx, estimate) // what it used, also with an error
	return err
}

// askModel is a model that takes half of the estimate.
func askModel(_ context.Context, estimate int64) (used int64, err error) { return estimate / 2, nil }

// A budget of a day beside limits of a minute. A call takes its whole estimate of the minute, but 1 token
// of the day, and settles both. If its process dies before, the minute's tokens are free
// again a minute later, and of the day 1 token is lost, not the estimate.
func ExampleLimiter_Settle_budget() {
	ctx := context.Background()
	limiter := slidingwindow.MustNew(memory.New(),
		slidingwindow.Limit{Name: "requests", Max: 60, Window: time.Minute},
		slidingwindow.Limit{Name: "tokens", Max: 100_000, Window: time.Minute},
		slidingwindow.Limit{Name: "day-tokens", Max: 2_000_000, Window: 24 * time.Hour})
	for range 3 {
		if err := complete(ctx, limiter, "tenant:9", 30_000); err != nil {
			panic(err)
		}
	}
	d, err := limiter.Peek(ctx, "tenant:9")
	if err != nil {
		panic(err)
	}
	for _, s := range d.Statuses() {
		fmt.Println(s.Limit.Name, s.Remaining)
	}
	// Output:
	// requests 57
	// tokens 55000
	// day-tokens 1955000
}

// A client may ask for more tokens than a minute has.
func ExampleLimiter_Clamp() {
	ctx := context.Background()
	limiter := slidingwindow.MustNew(memory.New(),
		slidingwindow.Limit{Name: "requests", Max: 60, Window: time.Minute},
		slidingwindow.Limit{Name: "tokens", Max: 2_000, Window: time.Minute})
	estimate := slidingwindow.Cost{"requests": 1, "tokens": 128_000}

	_, err := limiter.AllowCost(ctx, "tenant:9", estimate)
	fmt.Println(errors.Is(err, slidingwindow.ErrCostExceedsLimit))

	d, err := limiter.AllowCost(ctx, "tenant:9", limiter.Clamp(estimate))
	if err != nil {
		panic(err)
	}
	fmt.Println(d.Allowed, d.Statuses()[1].Granted)
	// Output:
	// true
	// true 2000
}

// One process takes the tokens and queues a job; another runs it and settles.
func ExampleDecision_MarshalText() {
	ctx := context.Background()
	limiter := slidingwindow.MustNew(memory.New(), // over Redis this can be two processes
		slidingwindow.Limit{Name: "tokens", Max: 2_000, Window: time.Minute})
	type job struct {
		Tenant string
		Taken  slidingwindow.Decision // a text in JSON
	}

	taken, err := limiter.AllowCost(ctx, "tenant:9", slidingwindow.Cost{"tokens": 1_200})
	if err != nil {
		panic(err)
	}
	queued, err := json.Marshal(job{Tenant: "tenant:9", Taken: taken})
	if err != nil {
		panic(err)
	}

	var j job
	if err := json.Unmarshal(queued, &j); err != nil {
		panic(err)
	}
	if err := limiter.Settle(ctx, j.Tenant, j.Taken, slidingwindow.Cost{"tokens": 350}); err != nil {
		panic(err)
	}
	d, err := limiter.Peek(ctx, "tenant:9")
	if err != nil {
		panic(err)
	}
	fmt.Println(d.Remaining)
	// Output:
	// 1650
}

// Money is counted in nano-dollars: at $0.25 a million tokens, one costs 250 of them.
func ExampleLimiter_Settle_money() {
	const (
		dollar      = 1_000_000_000
		inputPrice  = 250   // of a token
		outputPrice = 2_000 // of a token
	)
	ctx := context.Background()
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "money", Max: 5 * dollar, Window: 24 * time.Hour})
	d, err := limiter.AllowCost(ctx, "tenant:9", slidingwindow.Cost{"money": 1})
	if err != nil {
		panic(err)
	}
	if err := limiter.Settle(ctx, "tenant:9", d, slidingwindow.Cost{"money": 1_200*inputPrice + 350*outputPrice}); err != nil {
		panic(err)
	}
	d, err = limiter.Peek(ctx, "tenant:9")
	if err != nil {
		panic(err)
	}
	fmt.Printf("$%.3f of $%d left\n", float64(d.Remaining)/dollar, d.Limit.Max/dollar)
	// Output:
	// $4.999 of $5 left
}

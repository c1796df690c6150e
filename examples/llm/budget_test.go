package main

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// A customer may spend 5 dollars in any 24 hours. What a call costs is charged when it is known.
func Example_budget() {
	const dollar = 1_000_000 // micro-dollars
	ctx := context.Background()
	budget, err := slidingwindow.New(memory.New(), slidingwindow.Limit{Name: "budget", Max: 5 * dollar, Window: 24 * time.Hour})
	if err != nil {
		panic(err)
	}
	// Of a model at 3 dollars for a million tokens of prompt and 15 for a million of answer.
	price := func(prompt, answer int64) int64 { return 3*prompt + 15*answer }

	for range 4 {
		d, err := budget.Peek(ctx, "customer:9")
		if err != nil {
			panic(err)
		}
		if !d.Allowed {
			fmt.Println("nothing left for", d.RetryAfter.Round(time.Hour))
			continue
		}
		spent := price(200_000, 90_000) // as the model tells with its answer
		if err := budget.Charge(ctx, "customer:9", slidingwindow.Cost{"budget": spent}); err != nil {
			panic(err)
		}
		fmt.Printf("$%.2f of $%.2f left, then a call of $%.2f\n", float64(d.Remaining)/dollar, float64(d.Limit.Max)/dollar, float64(spent)/dollar)
	}
	// Output:
	// $5.00 of $5.00 left, then a call of $1.95
	// $3.05 of $5.00 left, then a call of $1.95
	// $1.10 of $5.00 left, then a call of $1.95
	// nothing left for 24h0m0s
}

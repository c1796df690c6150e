package slidingwindow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// A queue worker waits for its turn. Workers in all processes stand in one line.
func ExampleLimiter_Wait() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Max: 2, Window: 100 * time.Millisecond})
	for job := range 4 {
		if err := limiter.Wait(context.Background(), "partner-api"); err != nil {
			panic(err)
		}
		fmt.Println("job", job)
	}
	// A deadline that is sooner than the turn is an error at once.
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	fmt.Println(errors.Is(limiter.Wait(ctx, "partner-api"), slidingwindow.ErrWaitTooLong))
	// Output:
	// job 0
	// job 1
	// job 2
	// job 3
	// true
}

// A job that would have to wait goes back to its queue until its turn, which is then its own.
func ExampleLimiter_Reserve() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerMinute(1))
	for range 3 {
		d, err := limiter.Reserve(context.Background(), "partner-api", 1, 90*time.Second)
		if err != nil {
			panic(err)
		}
		if !d.Allowed {
			fmt.Println("the line is longer than 90 seconds:", d.RetryAfter.Round(time.Second))
			continue
		}
		fmt.Println("run in", d.Delay.Round(time.Second))
	}
	// Output:
	// run in 0s
	// run in 1m0s
	// the line is longer than 90 seconds: 2m0s
}

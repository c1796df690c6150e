package slidingwindow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/redisconn"
)

func Example() {
	ctx := context.Background()
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerMinute(2))
	for range 3 {
		d, err := limiter.Allow(ctx, "user:42")
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Allowed, d.Remaining, d.RetryAfter.Round(time.Second))
	}
	// Output:
	// true 1 0s
	// true 0 0s
	// false 0 1m0s
}

// Instances that share a Redis share the limit.
func ExampleNewRedisStore() {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{"127.0.0.1:6379"},
		DialCtxFn:   redisconn.Dial, // see docs/redis-client.md
	})
	if err != nil {
		fmt.Println("is Redis running?", err)
		return
	}
	defer client.Close()
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: "shop"})
	if err != nil {
		panic(err)
	}
	limiter := slidingwindow.MustNew(store, slidingwindow.Limit{Name: "checkout", Max: 100, Window: 15 * time.Minute})
	d, err := limiter.Allow(context.Background(), "customer:7")
	if errors.Is(err, slidingwindow.ErrStoreUnavailable) {
		fmt.Println("no decision:", err)
		return
	}
	fmt.Println(d.Allowed)
}

// Several limits are decided together: a refusal by one takes nothing from the others.
func ExampleNew_severalLimits() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerSecond(2), slidingwindow.PerHour(1000))
	var d slidingwindow.Decision
	for range 5 {
		var err error
		d, err = limiter.Allow(context.Background(), "user:42")
		if err != nil {
			panic(err)
		}
	}
	fmt.Println("refused by", d.Limit.Name)
	for _, s := range d.Statuses() {
		fmt.Println(s.Limit.Name, s.Remaining)
	}
	// Output:
	// refused by 2-per-1s
	// 2-per-1s 0
	// 1000-per-1h 998
}

// A cost other than one: a budget of tokens for a language model. The log has one entry
// for each call, not one for each token.
func ExampleLimiter_AllowN() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "tokens", Max: 100_000, Window: time.Minute})
	ctx := context.Background()
	for _, tokens := range []int64{60_000, 60_000, 40_000} {
		d, err := limiter.AllowN(ctx, "tenant:9", tokens)
		if err != nil {
			panic(err)
		}
		fmt.Println(tokens, d.Allowed, d.Remaining)
	}
	_, err := limiter.AllowN(ctx, "tenant:9", 200_000)
	fmt.Println(errors.Is(err, slidingwindow.ErrCostExceedsLimit))
	// Output:
	// 60000 true 40000
	// 60000 false 40000
	// 40000 true 0
	// true
}

func ExampleLimiter_Peek() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerMinute(5))
	ctx := context.Background()
	for range 2 {
		d, err := limiter.Peek(ctx, "user:42")
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Allowed, d.Remaining)
	}
	// Output:
	// true 5
	// true 5
}

func ExampleLimiter_Reset() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerDay(1))
	ctx := context.Background()
	allowed := func() bool {
		d, err := limiter.Allow(ctx, "user:42")
		if err != nil {
			panic(err)
		}
		return d.Allowed
	}
	fmt.Println(allowed(), allowed())
	if err := limiter.Reset(ctx, "user:42"); err != nil {
		panic(err)
	}
	fmt.Println(allowed())
	// Output:
	// true false
	// true
}

// A login counts failures only: what a success took is given back.
func ExampleLimiter_Refund() {
	ctx := context.Background()
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "login", Max: 5, Window: 10 * time.Minute})
	for _, password := range []string{"guess", "correct", "guess"} {
		d, err := limiter.Allow(ctx, "ada")
		if err != nil {
			panic(err)
		}
		if password == "correct" {
			if err := limiter.Refund(ctx, "ada", d); err != nil {
				panic(err)
			}
		}
	}
	d, err := limiter.Peek(ctx, "ada")
	if err != nil {
		panic(err)
	}
	fmt.Println("failures left:", d.Remaining)
	// Output: failures left: 3
}

// What would a new limit refuse? Shadow mode tells, and refuses nothing.
func ExampleLimiter_SetMode() {
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerMinute(1))
	limiter.SetMode(slidingwindow.ModeShadow)
	for range 2 {
		d, err := limiter.Allow(context.Background(), "user:42")
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Allowed, d.Reason)
	}
	// Output:
	// true allowed
	// true shadow
}

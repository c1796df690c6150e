package lease_test

import (
	"context"
	"fmt"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/lease"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// In a service the store is a slidingwindow.RedisStore, or a guarded one over it.
func ExampleNew() {
	store, err := lease.New(memory.New(), lease.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() {
		if err := store.Close(); err != nil { // gives back what is left
			fmt.Println(err)
		}
	}()
	limiter, err := slidingwindow.New(store, slidingwindow.PerMinute(1000))
	if err != nil {
		fmt.Println(err)
		return
	}
	allowed := 0
	for range 1500 { // the first go to the store, and then a lease decides most
		d, err := limiter.Allow(context.Background(), "tenant 7")
		if err != nil {
			fmt.Println(err)
			return
		}
		if d.Allowed {
			allowed++
		}
	}
	fmt.Println(allowed, "allowed")
	// Output: 1000 allowed
}

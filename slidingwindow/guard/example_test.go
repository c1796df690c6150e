package guard_test

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// While Redis is away each of three processes gives a third of the limit.
func ExampleNew() {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{"127.0.0.1:6379"}})
	if err != nil {
		fmt.Println("is Redis running?", err)
		return
	}
	defer client.Close()
	redis, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{})
	if err != nil {
		panic(err)
	}
	store, err := guard.New(redis, guard.Config{
		OnFailure: guard.Fallback,
		Fallback:  memory.New(),
		Instances: 3,
	})
	if err != nil {
		panic(err)
	}
	limiter := slidingwindow.MustNew(store, slidingwindow.PerMinute(300))
	d, err := limiter.Allow(context.Background(), "user:42")
	if err != nil {
		panic(err)
	}
	fmt.Println(d.Allowed, d.Limit.Max, d.Reason) // true 100 fallback, while Redis is away
}

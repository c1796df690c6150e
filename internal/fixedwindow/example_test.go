package fixedwindow_test

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/internal/fixedwindow"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func Example() {
	ctx := context.Background()
	server, err := redisserver.Start(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Stop() }()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	store, err := fixedwindow.NewStore(client, "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	limiter, err := slidingwindow.New(store, slidingwindow.PerHour(2))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		d, err := limiter.Allow(ctx, "user:42")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(d.Allowed, d.Remaining)
	}
	// Output:
	// true 1
	// true 0
	// false 0
}

package main

import (
	"context"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislimiter"
)

func rueidisLimiter() contestant {
	return contestant{
		name: "rueidislimiter", algorithm: "fixed window", settings: rueidisSettings,
		module: "github.com/redis/rueidis/rueidislimiter", admits: oncePerWindow,
		open: func(_ context.Context, addr string, q quota) (decide, func(), error) {
			client, err := rueidis.NewClient(rueidisOption(addr))
			if err != nil {
				return nil, nil, err
			}
			limiter, err := rueidislimiter.NewRateLimiter(rueidislimiter.RateLimiterOption{
				ClientBuilder: func(rueidis.ClientOption) (rueidis.Client, error) { return client, nil },
				KeyPrefix:     keyPrefix,
				Limit:         int(q.Max),
				Window:        q.Window,
			})
			if err != nil {
				client.Close()
				return nil, nil, err
			}
			return func(ctx context.Context, key string) (bool, error) {
				result, err := limiter.Allow(ctx, key)
				return result.Allowed, err
			}, client.Close, nil
		},
	}
}

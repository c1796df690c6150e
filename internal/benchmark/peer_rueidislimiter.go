package main

import (
	"context"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislimiter"
)

func rueidisLimiter() contestant {
	return contestant{
		name: rueidisLimiterName, algorithm: "fixed window", settings: rueidisSettings,
		module: "github.com/redis/rueidis/rueidislimiter", admits: oncePerWindow,
		open: overRueidis(func(client rueidis.Client) limits {
			return func(name string, q quota, cost int64) (decide, error) {
				limiter, err := rueidislimiter.NewRateLimiter(rueidislimiter.RateLimiterOption{
					ClientBuilder: func(rueidis.ClientOption) (rueidis.Client, error) { return client, nil },
					KeyPrefix:     keyPrefix + ":" + name,
					Limit:         int(q.Max),
					Window:        q.Window,
				})
				if err != nil {
					return nil, err
				}
				return func(ctx context.Context, key string) (bool, error) {
					result, err := limiter.AllowN(ctx, key, cost)
					return result.Allowed, err
				}, nil
			}
		}),
	}
}

package main

import (
	"context"

	"github.com/go-redis/redis_rate/v10"
)

func redisRate() contestant {
	return contestant{
		name: "redis_rate", algorithm: "GCRA", settings: goRedisSettings,
		module: "github.com/go-redis/redis_rate/v10", admits: burstAndRate,
		open: func(_ context.Context, addr string, q quota) (decide, func(), error) {
			client := newGoRedis(addr)
			limiter := redis_rate.NewLimiter(client)
			limit := redis_rate.Limit{Rate: int(q.Max), Burst: int(q.Max), Period: q.Window}
			return func(ctx context.Context, key string) (bool, error) {
				result, err := limiter.Allow(ctx, key, limit)
				return err == nil && result.Allowed > 0, err
			}, func() { _ = client.Close() }, nil
		},
	}
}

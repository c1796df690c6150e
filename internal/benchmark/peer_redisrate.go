package main

import (
	"context"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

func redisRate() contestant {
	return contestant{
		name: "redis_rate", algorithm: "GCRA", settings: goRedisSettings,
		module: "github.com/go-redis/redis_rate/v10", admits: burstAndRate,
		open: overGoRedis(func(_ context.Context, client redis.UniversalClient) limits {
			limiter := redis_rate.NewLimiter(client)
			return func(name string, q quota, cost int64) (decide, error) {
				limit := redis_rate.Limit{Rate: int(q.Max), Burst: int(q.Max), Period: q.Window}
				return func(ctx context.Context, key string) (bool, error) {
					result, err := limiter.AllowN(ctx, name+":"+key, limit, int(cost))
					return err == nil && result.Allowed > 0, err
				}, nil
			}
		}),
	}
}

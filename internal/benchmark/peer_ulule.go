package main

import (
	"context"

	"github.com/redis/go-redis/v9"
	"github.com/ulule/limiter/v3"
	memorydriver "github.com/ulule/limiter/v3/drivers/store/memory"
	redisdriver "github.com/ulule/limiter/v3/drivers/store/redis"
)

const ululeModule = "github.com/ulule/limiter/v3"

func ululeOnRedis() contestant {
	return contestant{
		name: "ulule/limiter", algorithm: "fixed window", settings: goRedisSettings, module: ululeModule, admits: oncePerWindow,
		open: overGoRedis(func(_ context.Context, client redis.UniversalClient) limits {
			return func(name string, q quota, cost int64) (decide, error) {
				store, err := redisdriver.NewStoreWithOptions(client, limiter.StoreOptions{Prefix: keyPrefix + ":" + name})
				if err != nil {
					return nil, err
				}
				return decideByUlule(store, q, cost), nil
			}
		}),
	}
}

func ululeInMemory() contestant {
	return contestant{
		name: "ulule/limiter memory", algorithm: "fixed window", module: ululeModule, admits: oncePerWindow,
		open: func(_ context.Context, _ place, d demand) (decide, func(), error) {
			return decideByUlule(memorydriver.NewStore(), d.Limits[0], d.cost()), func() {}, nil
		},
	}
}

func decideByUlule(store limiter.Store, q quota, cost int64) decide {
	l := limiter.New(store, limiter.Rate{Period: q.Window, Limit: q.Max})
	if cost == 1 {
		return func(ctx context.Context, key string) (bool, error) {
			result, err := l.Get(ctx, key)
			return err == nil && !result.Reached, err
		}
	}
	return func(ctx context.Context, key string) (bool, error) {
		result, err := l.Increment(ctx, key, cost)
		return err == nil && !result.Reached, err
	}
}

package main

import (
	"context"

	"github.com/ulule/limiter/v3"
	memorydriver "github.com/ulule/limiter/v3/drivers/store/memory"
	redisdriver "github.com/ulule/limiter/v3/drivers/store/redis"
)

const ululeModule = "github.com/ulule/limiter/v3"

func ululeOnRedis() contestant {
	return contestant{
		name: "ulule/limiter", algorithm: "fixed window", settings: goRedisSettings, module: ululeModule, admits: oncePerWindow,
		open: func(_ context.Context, addr string, q quota) (decide, func(), error) {
			client := newGoRedis(addr)
			store, err := redisdriver.NewStoreWithOptions(client, limiter.StoreOptions{Prefix: keyPrefix})
			if err != nil {
				_ = client.Close()
				return nil, nil, err
			}
			return decideByUlule(store, q), func() { _ = client.Close() }, nil
		},
	}
}

func ululeInMemory() contestant {
	return contestant{
		name: "ulule/limiter memory", algorithm: "fixed window", module: ululeModule, admits: oncePerWindow,
		open: func(_ context.Context, _ string, q quota) (decide, func(), error) {
			return decideByUlule(memorydriver.NewStore(), q), func() {}, nil
		},
	}
}

func decideByUlule(store limiter.Store, q quota) decide {
	l := limiter.New(store, limiter.Rate{Period: q.Window, Limit: q.Max})
	return func(ctx context.Context, key string) (bool, error) {
		result, err := l.Get(ctx, key)
		return err == nil && !result.Reached, err
	}
}

package main

import (
	"context"
	"errors"
	"sync"

	"github.com/mennanov/limiters"
	"github.com/redis/go-redis/v9"
)

func mennanovOnRedis() contestant {
	return contestant{
		name: "mennanov/limiters", algorithm: "sliding counter, estimates", settings: goRedisSettings + "; epsilon 1e-9",
		module: "github.com/mennanov/limiters", admits: perClockWindow,
		without: map[feature]string{
			costs: "no call takes several units",
			state: "a counter that sends 3 commands a call, in whatever state its keys are",
		},
		open: overGoRedis(func(_ context.Context, client redis.UniversalClient) limits {
			return func(name string, q quota, _ int64) (decide, error) {
				// It has an object for each key, which programs keep in a registry.
				var registry sync.Map
				return func(ctx context.Context, key string) (bool, error) {
					window, ok := registry.Load(key)
					if !ok {
						window, _ = registry.LoadOrStore(key, limiters.NewSlidingWindow(q.Max, q.Window,
							limiters.NewSlidingWindowRedis(client, keyPrefix+":"+name+":"+key), limiters.NewSystemClock(), 1e-9))
					}
					_, err := window.(*limiters.SlidingWindow).Limit(ctx)
					if errors.Is(err, limiters.ErrLimitExhausted) {
						return false, nil
					}
					return err == nil, err
				}, nil
			}
		}),
	}
}

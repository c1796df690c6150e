package main

import (
	"context"

	"github.com/redis/go-redis/v9"
	"github.com/throttled/throttled/v2"
	goredisstore "github.com/throttled/throttled/v2/store/goredisstore.v9"
)

func throttledOnRedis() contestant {
	return contestant{
		name: "throttled", algorithm: "GCRA, compare and swap", settings: goRedisSettings + "; 10 tries",
		module: "github.com/throttled/throttled/v2", admits: burstAndRate,
		open: overGoRedis(func(_ context.Context, client redis.UniversalClient) limits {
			return func(name string, q quota, cost int64) (decide, error) {
				store, err := goredisstore.NewCtx(client, keyPrefix+":"+name+":")
				if err != nil {
					return nil, err
				}
				limiter, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{
					MaxRate:  throttled.PerDuration(int(q.Max), q.Window),
					MaxBurst: int(q.Max) - 1,
				})
				if err != nil {
					return nil, err
				}
				return func(ctx context.Context, key string) (bool, error) {
					limited, _, err := limiter.RateLimitCtx(ctx, key, int(cost))
					return err == nil && !limited, err
				}, nil
			}
		}),
	}
}

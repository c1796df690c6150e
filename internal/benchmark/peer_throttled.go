package main

import (
	"context"

	"github.com/throttled/throttled/v2"
	goredisstore "github.com/throttled/throttled/v2/store/goredisstore.v9"
)

func throttledOnRedis() contestant {
	return contestant{
		name: "throttled", algorithm: "GCRA, compare and swap", settings: goRedisSettings + "; 10 tries",
		module: "github.com/throttled/throttled/v2", admits: burstAndRate,
		open: func(_ context.Context, addr string, q quota) (decide, func(), error) {
			client := newGoRedis(addr)
			store, err := goredisstore.NewCtx(client, keyPrefix+":")
			if err == nil {
				var limiter *throttled.GCRARateLimiterCtx
				limiter, err = throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{
					MaxRate:  throttled.PerDuration(int(q.Max), q.Window),
					MaxBurst: int(q.Max) - 1,
				})
				if err == nil {
					return func(ctx context.Context, key string) (bool, error) {
						limited, _, err := limiter.RateLimitCtx(ctx, key, 1)
						return err == nil && !limited, err
					}, func() { _ = client.Close() }, nil
				}
			}
			_ = client.Close()
			return nil, nil, err
		},
	}
}

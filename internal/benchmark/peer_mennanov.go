package main

import (
	"context"
	"errors"
	"sync"

	"github.com/mennanov/limiters"
)

func mennanovOnRedis() contestant {
	return contestant{
		name: "mennanov/limiters", algorithm: "sliding counter, estimates", settings: goRedisSettings + "; epsilon 1e-9",
		module: "github.com/mennanov/limiters", admits: perClockWindow,
		open: func(_ context.Context, addr string, q quota) (decide, func(), error) {
			client := newGoRedis(addr)
			// It has an object for each key, which programs keep in a registry.
			var registry sync.Map
			return func(ctx context.Context, key string) (bool, error) {
				window, ok := registry.Load(key)
				if !ok {
					window, _ = registry.LoadOrStore(key, limiters.NewSlidingWindow(q.Max, q.Window,
						limiters.NewSlidingWindowRedis(client, keyPrefix+":"+key), limiters.NewSystemClock(), 1e-9))
				}
				_, err := window.(*limiters.SlidingWindow).Limit(ctx)
				if errors.Is(err, limiters.ErrLimitExhausted) {
					return false, nil
				}
				return err == nil, err
			}, func() { _ = client.Close() }, nil
		},
	}
}

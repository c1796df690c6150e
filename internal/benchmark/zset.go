package main

import (
	"context"
	_ "embed" // the script
	"strconv"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

//go:embed zset.lua
var zsetScript string

// handWrittenZSET is what a search for "sliding window redis lua" finds.
func handWrittenZSET() contestant {
	return contestant{
		name: byHandName, algorithm: "sliding log, exact", role: byHand, settings: goRedisSettings,
		module: "github.com/redis/go-redis/v9", admits: oncePerWindow,
		open: overGoRedis(func(_ context.Context, client redis.UniversalClient) limits {
			script := redis.NewScript(zsetScript)
			var calls atomic.Int64
			return func(name string, q quota, cost int64) (decide, error) {
				prefix := keyPrefix + ":" + name + ":"
				return func(ctx context.Context, key string) (bool, error) {
					unique := "-" + strconv.FormatInt(calls.Add(1), 36)
					allowed, err := script.Run(ctx, client, []string{prefix + key}, q.Max, q.Window.Microseconds(), unique, cost).Int()
					return allowed == 1, err
				}, nil
			}
		}),
	}
}

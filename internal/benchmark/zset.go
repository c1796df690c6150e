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
		name: "hand-written ZSET script", algorithm: "sliding log, exact", settings: goRedisSettings,
		module: "github.com/redis/go-redis/v9", admits: oncePerWindow,
		open: func(_ context.Context, addr string, q quota) (decide, func(), error) {
			client := newGoRedis(addr)
			script := redis.NewScript(zsetScript)
			var calls atomic.Int64
			return func(ctx context.Context, key string) (bool, error) {
				unique := "-" + strconv.FormatInt(calls.Add(1), 36)
				allowed, err := script.Run(ctx, client, []string{keyPrefix + ":" + key}, q.Max, q.Window.Microseconds(), unique).Int()
				return allowed == 1, err
			}, func() { _ = client.Close() }, nil
		},
	}
}

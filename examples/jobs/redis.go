package main

import (
	"context"
	"os"
	"regexp"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

// redis is what the workers share.
type redis struct {
	rueidis.Client
	url  string
	ours bool // a redis-server of this run alone
	stop func() error
}

// openRedis connects to the Redis of REDIS_URL, or to a redis-server that it starts.
func openRedis(ctx context.Context) (_ *redis, err error) {
	r := &redis{url: os.Getenv("REDIS_URL"), stop: func() error { return nil }}
	if r.url == "" {
		server, err := redisserver.Start(ctx)
		if err != nil {
			return nil, err
		}
		r.url, r.ours, r.stop = server.URL(), true, server.Stop
	}
	defer func() {
		if err != nil {
			_ = r.stop()
		}
	}()
	cfg, err := config.Load(config.Sources{Environ: append(os.Environ(), "REDIS_URL="+r.url)})
	if err != nil {
		return nil, err
	}
	r.Client, err = cfg.Redis.Connect(ctx)
	return r, err
}

var scriptCalls = regexp.MustCompile(`(?m)^cmdstat_(?:evalsha|eval|evalsha_ro|eval_ro):calls=(\d+),`)

// scripts is how many commands ran a script since the server began. A decision is such a command; what the script calls
// is counted apart by Redis.
func (r *redis) scripts(ctx context.Context) (n int, err error) {
	info, err := r.Do(ctx, r.B().Info().Section("commandstats").Build()).ToString()
	if err != nil {
		return 0, err
	}
	for _, match := range scriptCalls.FindAllStringSubmatch(info, -1) {
		calls, err := strconv.Atoi(match[1])
		if err != nil {
			return 0, err
		}
		n += calls
	}
	return n, nil
}

package main

import (
	"context"
	"errors"
	"os"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

// openStore opens the store of REDIS_URL, or one in a redis-server that it starts.
func openStore(ctx context.Context) (store *config.Store, closeStore func() error, err error) {
	environ, stop := os.Environ(), func() error { return nil }
	if os.Getenv("REDIS_URL") == "" {
		server, err := redisserver.Start(ctx)
		if err != nil {
			return nil, nil, err
		}
		environ, stop = append(environ, "REDIS_URL="+server.URL()), server.Stop
	}
	cfg, err := config.Load(config.Sources{Environ: environ})
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	if store, err = cfg.Redis.Open(ctx); err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return store, func() error {
		store.Close()
		return stop()
	}, nil
}

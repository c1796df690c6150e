package main

import (
	"context"
	"log/slog"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// backend is where the counts are kept.
type backend struct {
	store slidingwindow.Store
	ping  func(context.Context) (string, error)
	close func()
}

// openBackend returns the backend that REDIS_URL asks for. The caller must close it.
func openBackend(ctx context.Context, redis config.Redis, logger *slog.Logger) (backend, error) {
	if redis.InMemory() {
		return openMemory(logger)
	}
	redis.Logger = logger
	client, err := redis.Connect(ctx)
	if err != nil {
		return backend{}, err
	}
	store, err := slidingwindow.NewRedisStore(client, redis.Store())
	if err != nil {
		client.Close()
		return backend{}, err
	}
	ping := func(ctx context.Context) (string, error) {
		return client.Do(ctx, client.B().Ping().Build()).ToString()
	}
	return backend{store: store, ping: ping, close: client.Close}, nil
}

func openMemory(logger *slog.Logger) (backend, error) {
	store, err := slidingwindow.NewMemoryStore(slidingwindow.MemoryConfig{})
	if err != nil {
		return backend{}, err
	}
	logger.Warn("no Redis: the limits hold within this process only", "REDIS_URL", "memory://")
	ping := func(context.Context) (string, error) {
		return "not used: the limits hold within this process only (memory://)", nil
	}
	return backend{store: store, ping: ping, close: func() {}}, nil
}

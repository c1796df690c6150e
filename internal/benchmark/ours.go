package main

import (
	"context"
	"io"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/internal/fixedwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	keyPrefix = "bench"
	limitName = "api"
)

func (q quota) limit() slidingwindow.Limit {
	return slidingwindow.Limit{Name: limitName, Max: q.Max, Window: q.Window}
}

// ours is the RedisStore as a user makes it.
func ours() contestant {
	return contestant{
		name: oursName, algorithm: "sliding log, exact", settings: rueidisSettings + "; RedisConfig{}", admits: oncePerWindow,
		open: func(_ context.Context, addr string, q quota) (decide, func(), error) {
			return openStore(addr, q, func(client rueidis.Client) (slidingwindow.Store, error) {
				return slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: keyPrefix})
			})
		},
	}
}

// fixedWindowOnRueidis tells what the algorithm costs from what its plumbing does.
func fixedWindowOnRueidis() contestant {
	return contestant{
		name: "fixed window, our client", algorithm: "fixed window", settings: rueidisSettings, admits: oncePerWindow,
		open: func(_ context.Context, addr string, q quota) (decide, func(), error) {
			return openStore(addr, q, func(client rueidis.Client) (slidingwindow.Store, error) {
				return fixedwindow.NewStore(client, keyPrefix)
			})
		},
	}
}

func openStore(addr string, q quota, newStore func(rueidis.Client) (slidingwindow.Store, error)) (decide, func(), error) {
	client, err := rueidis.NewClient(rueidisOption(addr))
	if err != nil {
		return nil, nil, err
	}
	store, err := newStore(client)
	if err == nil {
		var limiter *slidingwindow.Limiter
		if limiter, err = slidingwindow.New(store, q.limit()); err == nil {
			return decideBy(limiter), func() {
				closeStore(store)
				client.Close()
			}, nil
		}
	}
	client.Close()
	return nil, nil, err
}

func decideBy(limiter *slidingwindow.Limiter) decide {
	return func(ctx context.Context, key string) (bool, error) {
		d, err := limiter.Allow(ctx, key)
		return d.Allowed, err
	}
}

// closeStore ends what a store runs of its own, if it does.
func closeStore(store slidingwindow.Store) {
	switch s := store.(type) {
	case io.Closer:
		_ = s.Close() // nothing is in flight
	case interface{ Close() }:
		s.Close()
	}
}

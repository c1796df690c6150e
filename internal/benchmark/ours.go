package main

import (
	"context"
	"io"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/internal/fixedwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/lease"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

const keyPrefix = "bench"

// newRedisStore is the RedisStore as a user makes it.
func newRedisStore(client rueidis.Client) (slidingwindow.Store, error) {
	return slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: keyPrefix})
}

// newMemoryStore is the memory store as a user makes it; a clock is for simulations.
func newMemoryStore(clock func() time.Time) (slidingwindow.Store, error) {
	return memory.NewWithConfig(memory.Config{Clock: clock})
}

func ours() contestant {
	return contestant{
		name: oursName, algorithm: "sliding log, exact", role: own, settings: ourSettings + "; RedisConfig{}", admits: oncePerWindow,
		open: func(_ context.Context, at place, d demand) (decide, func(), error) {
			return openStore(at, d, newRedisStore)
		},
	}
}

// leased is ours with leases, as a user makes it.
func leased() contestant {
	return contestant{
		name: leasedName, algorithm: "sliding log, exact", role: own, settings: ourSettings + "; RedisConfig{}, lease.Config{}", admits: oncePerWindow,
		open: func(_ context.Context, at place, d demand) (decide, func(), error) {
			return openStore(at, d, func(client rueidis.Client) (slidingwindow.Store, error) {
				redis, err := newRedisStore(client)
				if err != nil {
					return nil, err
				}
				store, err := lease.New(redis, lease.Config{})
				return leasedStore{store, redis}, err
			})
		},
	}
}

// leasedStore is a store with leases and the one under it, which ends after it.
type leasedStore struct {
	*lease.Store
	under slidingwindow.Store
}

func (s leasedStore) Close() error {
	err := s.Store.Close()
	closeStore(s.under)
	return err
}

// fixedWindowOnRueidis tells what the algorithm costs from what its plumbing does.
func fixedWindowOnRueidis() contestant {
	return contestant{
		name: "fixed window, our client", algorithm: "fixed window", role: yardstick, settings: ourSettings, admits: oncePerWindow,
		open: func(_ context.Context, at place, d demand) (decide, func(), error) {
			return openStore(at, d, func(client rueidis.Client) (slidingwindow.Store, error) {
				return fixedwindow.NewStore(client, keyPrefix)
			})
		},
	}
}

func openStore(at place, d demand, newStore func(rueidis.Client) (slidingwindow.Store, error)) (decide, func(), error) {
	limiter, end, err := openLimiter(at, d, newStore)
	if err != nil {
		return nil, nil, err
	}
	return decideBy(limiter, d.cost()), end, nil
}

func openLimiter(at place, d demand, newStore func(rueidis.Client) (slidingwindow.Store, error)) (*slidingwindow.Limiter, func(), error) {
	client, err := newOurClient(at)
	if err != nil {
		return nil, nil, err
	}
	store, err := newStore(client)
	if err == nil {
		var limiter *slidingwindow.Limiter
		if limiter, err = newLimiter(store, d); err == nil {
			return limiter, func() {
				closeStore(store)
				client.Close()
			}, nil
		}
	}
	client.Close()
	return nil, nil, err
}

func newLimiter(store slidingwindow.Store, d demand) (*slidingwindow.Limiter, error) {
	limits := make([]slidingwindow.Limit, len(d.Limits))
	for i, q := range d.Limits {
		limits[i] = slidingwindow.Limit{Name: limitName(i), Max: q.Max, Window: q.Window}
	}
	return slidingwindow.New(store, limits...)
}

func decideBy(limiter *slidingwindow.Limiter, cost int64) decide {
	if cost == 1 {
		return func(ctx context.Context, key string) (bool, error) {
			d, err := limiter.Allow(ctx, key)
			return d.Allowed, err
		}
	}
	return func(ctx context.Context, key string) (bool, error) {
		d, err := limiter.AllowN(ctx, key, cost)
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

package main

import (
	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// limiters has a limiter for each group of routes. They share a store, where the names
// of their limits keep their counts apart.
type limiters struct {
	api   *slidingwindow.Limiter
	login *slidingwindow.Limiter
}

func newLimiters(cfg *config.Config, store slidingwindow.Store) (limiters, error) {
	api, err := newLimiter(cfg, store, "api")
	if err != nil {
		return limiters{}, err
	}
	login, err := newLimiter(cfg, store, "login")
	if err != nil {
		return limiters{}, err
	}
	return limiters{api: api, login: login}, nil
}

func newLimiter(cfg *config.Config, store slidingwindow.Store, name string) (*slidingwindow.Limiter, error) {
	limit, err := cfg.Limit(name)
	if err != nil {
		return nil, err
	}
	return slidingwindow.New(store, limit.Limit)
}

package main

import (
	"context"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/config"
)

const (
	ourSettings     = "rueidis, as package config sets it"
	rueidisSettings = "rueidis, its defaults"
	goRedisSettings = "go-redis, its default pool (10 x GOMAXPROCS)"
)

// place is where Redis is, and what it takes to get there.
type place struct {
	Addrs   []string
	Cluster bool // the addresses are nodes of one
	Pool    int  // connections of a client that has a pool; 0 stands for its default
}

// newOurClient is what package config makes for programs that use it.
func newOurClient(at place) (rueidis.Client, error) {
	address := url.URL{Scheme: "redis", Host: at.Addrs[0], RawQuery: url.Values{"addr": at.Addrs[1:]}.Encode()}
	cfg, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=" + address.String()}})
	if err != nil {
		return nil, err
	}
	return cfg.Redis.Connect(context.Background())
}

// newRueidis is a client for all others, with the defaults of rueidis.
func newRueidis(at place) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{InitAddress: at.Addrs})
}

// newGoRedis has the defaults of go-redis, but for a pool timeout that none of many callers on
// a slow machine meets: a call that waited long shows as latency, not as an error.
func newGoRedis(at place) redis.UniversalClient {
	const patience = 30 * time.Second
	if at.Cluster {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: at.Addrs, PoolSize: at.Pool, PoolTimeout: patience})
	}
	return redis.NewClient(&redis.Options{Addr: at.Addrs[0], PoolSize: at.Pool, PoolTimeout: patience})
}

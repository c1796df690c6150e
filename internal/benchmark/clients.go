package main

import (
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

const (
	rueidisSettings = "rueidis, AlwaysPipelining"
	goRedisSettings = "go-redis, its default pool (10 x GOMAXPROCS)"
)

// rueidisOption is what package config sets for programs that use it.
func rueidisOption(addr string) rueidis.ClientOption {
	return rueidis.ClientOption{InitAddress: []string{addr}, AlwaysPipelining: true}
}

// newGoRedis has the defaults of go-redis, but for a pool timeout that none of many callers on
// a slow machine meets: a call that waited long shows as latency, not as an error.
func newGoRedis(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, PoolTimeout: 30 * time.Second})
}

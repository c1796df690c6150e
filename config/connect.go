package config

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/redis/rueidis"
)

var (
	errRequired = errors.New(urlRequired)
	errInMemory = errors.New("REDIS_URL is memory://, so there is no redis to connect to: use memory.New")
)

// Connect returns a client that is connected to Redis, checked to be Redis 7.0, Valkey
// 7.2 or later. One client is enough for a program: share it, and Close it after the
// last call. It connects again by itself whenever a connection is lost.
//
// Connect waits until ctx ends, and no longer than the dial timeout (5s, or
// dial_timeout of the URL) for each address of the URL and once more for the node that
// a cluster or a sentinel leads to. The error says which address failed and why, and
// wraps the cause, so that errors.Is(err, syscall.ECONNREFUSED) and the like work, as
// does errors.Is with the error and the cause of ctx. What a server replied is not
// wrapped, and told in this package's own words, as it may quote the login.
// A certificate or a key that cannot be read is an error before any address is asked.
// With memory:// it is always an error; see [Redis.InMemory].
//
// The client's connections are logged to r.Logger, for each address: "redis connected"
// at level Info for the first one, "redis connection failed" at Warn when one cannot
// be made or breaks, once until it works again, and "redis reconnected" at Info then. "redis
// refuses, connecting again" at Warn, once a minute at most, is about a server that may be the
// wrong one; see package redisconn.
func (r Redis) Connect(ctx context.Context) (rueidis.Client, error) {
	if r.URL.open == nil {
		return nil, errRequired
	}
	if r.InMemory() {
		return nil, errInMemory
	}
	m := newMonitor(r.server(), r.logger())
	return m.connect(ctx)
}

func (r Redis) logger() *slog.Logger {
	if r.Logger == nil {
		return slog.Default()
	}
	return r.Logger
}

// connect is Connect, of a monitor of its own.
func (m *monitor) connect(ctx context.Context) (rueidis.Client, error) {
	if err := m.server.checkFiles(); err != nil {
		return nil, err
	}
	bound := time.Duration(len(m.server.addrs)+1) * m.server.timeout()
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()

	client, err := m.newClient(bounded)
	if err != nil {
		m.end()
		m.outage = m.isOutage(err)
		return nil, m.explain(ctx, err, bound)
	}
	if err = m.checkServers(bounded, client); err == nil && ctx.Err() != nil {
		err = m.explain(ctx, ctx.Err(), bound)
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// newClient makes a client or returns when ctx ends: rueidis.NewClient itself waits for
// every address.
func (m *monitor) newClient(ctx context.Context) (rueidis.Client, error) {
	type result struct {
		client rueidis.Client
		err    error
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	option := m.server.option()
	option.DialCtxFn = m.dial
	made := make(chan result, 1)
	go func() {
		client, err := rueidis.NewClient(option)
		made <- result{client, err}
	}()
	select {
	case r := <-made:
		return r.client, r.err
	case <-ctx.Done():
		m.end()
		go func() {
			if r := <-made; r.client != nil {
				r.client.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

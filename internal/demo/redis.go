package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

// memoryURL is the REDIS_URL of limits that hold within one process.
const memoryURL = "memory://"

// redis is a Redis that the instances can use.
type redis struct {
	url    string // empty if they know it already
	what   string // for people to read: no password in it
	ours   bool   // nobody else uses it
	memory bool   // there is none
	stop   func() error
}

// way is one way to get a Redis.
type way struct {
	name string
	find func(ctx context.Context, say func(string)) (redis, error)
}

// ways are the ways to try, in this order. The last one cannot fail.
func ways(settings config.Redis, installer string) []way {
	if settings.URL.String() != noURL {
		return []way{{"REDIS_URL", given(settings)}}
	}
	return []way{
		{"Docker", container},
		{"redis-server", program(installer)},
		{"memory", inMemory},
	}
}

// bringUp returns the Redis of the first way that has one, and says why the ways before
// it have none. The caller must stop it.
func bringUp(ctx context.Context, screen *screen, ways []way) (redis, error) {
	for _, way := range ways {
		found, err := way.find(ctx, func(text string) { screen.field(way.name, text) })
		if ctx.Err() != nil {
			if err == nil {
				err = found.stop()
			}
			return redis{}, errors.Join(ctx.Err(), err)
		}
		if err == nil {
			screen.field("Redis", found.what)
			return found, nil
		}
		screen.field(way.name, "no: "+firstLine(err.Error()))
	}
	return redis{}, errors.New("no Redis; start one and set REDIS_URL=redis://host:6379")
}

func given(settings config.Redis) func(context.Context, func(string)) (redis, error) {
	return func(context.Context, func(string)) (redis, error) {
		if settings.InMemory() {
			return noRedis, nil
		}
		return redis{what: settings.URL.String() + ", from REDIS_URL", stop: func() error { return nil }}, nil
	}
}

// noRedis has each process count for itself.
var noRedis = redis{
	url: memoryURL, what: "none: memory://, one process", ours: true, memory: true,
	stop: func() error { return nil },
}

func inMemory(context.Context, func(string)) (redis, error) { return noRedis, nil }

// program runs a redis-server program, which the installer installs if there is none and
// it may.
func program(installer string) func(context.Context, func(string)) (redis, error) {
	return func(ctx context.Context, _ func(string)) (redis, error) {
		if installer != "" {
			install := exec.CommandContext(ctx, "sh", installer, "redis")
			install.Stdout, install.Stderr = os.Stdout, os.Stderr
			// A package manager that is killed leaves its locks and half a package.
			install.Cancel = func() error { return install.Process.Signal(syscall.SIGTERM) }
			install.WaitDelay = time.Minute
			if err := install.Run(); err != nil {
				return redis{}, errors.New("not here, and not installed")
			}
		}
		server, err := redisserver.Start(ctx)
		if err != nil {
			return redis{}, err
		}
		return redis{
			url: server.URL(), what: server.Addr() + ", a redis-server process of this demo",
			ours: true, stop: server.Stop,
		}, nil
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

package main

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"time"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

// faultKind is something that happens in production.
type faultKind struct {
	name              string
	shortest, longest time.Duration

	// mayFail tells whether calls may fail meanwhile. Other faults must not be noticed.
	mayFail bool

	// ofWorker tells whether it happens to a worker, not to a server.
	ofWorker bool

	inject func(ctx context.Context, a *arena, f fault) error
}

// workerTimeout is the store's: some of the stalls are longer.
const workerTimeout = time.Second

var faultKinds = []faultKind{
	{"redis stalls", 50 * time.Millisecond, 2500 * time.Millisecond, true, false, func(ctx context.Context, a *arena, f fault) error {
		server := a.server(f)
		if err := server.Freeze(); err != nil {
			return err
		}
		sleep(ctx, f.length)
		return server.Thaw()
	}},
	{"redis is killed and comes back", 0, time.Second, true, false, func(ctx context.Context, a *arena, f fault) error {
		server := a.server(f)
		if err := server.Kill(); err != nil {
			return err
		}
		sleep(ctx, f.length)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return server.Restart(ctx)
	}},
	{"connections are lost", 0, 0, true, false, func(ctx context.Context, a *arena, f fault) error {
		return cli(ctx, a.server(f), "client", "kill", "type", "normal")
	}},
	{"redis pauses its clients", 50 * time.Millisecond, 2500 * time.Millisecond, true, false, func(ctx context.Context, a *arena, f fault) error {
		err := cli(ctx, a.server(f), "client", "pause", strconv.FormatInt(f.length.Milliseconds(), 10), "all")
		sleep(ctx, f.length)
		return err
	}},
	{"redis forgets its scripts", 0, 0, false, false, func(ctx context.Context, a *arena, f fault) error {
		return cli(ctx, a.server(f), "script", "flush")
	}},
	{"a slow script", 20 * time.Millisecond, 100 * time.Millisecond, false, false, func(ctx context.Context, a *arena, f fault) error {
		const turnsPerMillisecond = 50_000 // about
		turns := f.length.Milliseconds() * turnsPerMillisecond
		return cli(ctx, a.server(f), "eval", "for _ = 1, tonumber(ARGV[1]) do end", "0", strconv.FormatInt(turns, 10))
	}},
	{"a worker is killed", 0, 500 * time.Millisecond, false, true, func(ctx context.Context, a *arena, f fault) error {
		broken := a.crew.kill(f.target)
		sleep(ctx, f.length)
		return a.crew.start(broken)
	}},
	{"a worker stalls", 50 * time.Millisecond, 2500 * time.Millisecond, true, true, func(ctx context.Context, a *arena, f fault) error {
		if err := a.crew.signal(f.target, stall); err != nil {
			return err
		}
		sleep(ctx, f.length)
		return a.crew.signal(f.target, goOn)
	}},
}

// arena is what faults happen to.
type arena struct {
	servers []*redisserver.Server
	crew    *crew
}

func (a *arena) server(f fault) *redisserver.Server { return a.servers[f.target%len(a.servers)] }

// cli sends one command.
func cli(ctx context.Context, server *redisserver.Server, command ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-cli", append([]string{"-u", server.URL(), "-e"}, command...)...).CombinedOutput()
	if err != nil {
		return errors.Join(err, errors.New("redis-cli "+command[0]+": "+string(out)))
	}
	return nil
}

// sleep waits, or returns when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

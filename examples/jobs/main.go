// Command jobs is a queue worker with a quota: it works off 9 jobs, and starts no more
// than 3 in any 2 seconds, together with every other worker on the same REDIS_URL. There
// is no HTTP in it. The environment can have another limit, in LIMITS_JOBS_MAX and
// LIMITS_JOBS_WINDOW. SIGINT and SIGTERM end it before its next job.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does what it does to any program
	err := run(ctx, os.Environ(), 9, func(job int) { slog.Info("job started", "job", job) })
	stop()
	if err != nil {
		slog.Error("worker failed", "error", err)
		os.Exit(1)
	}
}

// run returns nil when ctx is cancelled: that is how the worker is told to end.
func run(ctx context.Context, environ []string, jobs int, work func(job int)) error {
	err := workOff(ctx, environ, jobs, work)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func workOff(ctx context.Context, environ []string, jobs int, work func(job int)) error {
	cfg, err := config.Load(config.Sources{Environ: environ, Defaults: map[string]any{
		"limits.jobs.max": 3, "limits.jobs.window": "2s",
	}})
	if err != nil {
		return err
	}
	store, err := cfg.Redis.Open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	limiter, err := slidingwindow.New(store, cfg.Limits["jobs"].Limit)
	if err != nil {
		return err
	}
	for job := 1; job <= jobs; {
		// The key is what is limited: here all jobs of one kind, whoever runs them.
		decision, err := limiter.Allow(ctx, "thumbnails")
		if err != nil {
			return err
		}
		if decision.Allowed {
			work(job)
			job++
			continue
		}
		select {
		case <-time.After(decision.RetryAfter): // exact, so there is no need to poll
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

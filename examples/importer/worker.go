package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	// serviceVariable makes the program one of the processes that import, and says where to.
	serviceVariable = "IMPORTER_SERVICE"

	batchRows   = 100
	connections = 8 // of each process
	mostDelay   = window / 2
)

// work imports until the service has all rows.
func work(ctx context.Context, service string, environ []string) error {
	cfg, err := config.Load(config.Sources{Environ: environ, Defaults: map[string]any{
		"redis.lease":       "50ms",
		"redis.timeout":     "10s", // nobody waits for an import: better late than failed
		"limits.import.max": maxRows,
		// A batch reaches the service after it was decided, one later than another: what the service
		// sees in a second was decided in that second and as much more.
		"limits.import.window": (window + mostDelay).String(),
	}})
	if err != nil {
		return err
	}
	store, err := cfg.Redis.Open(ctx)
	if err != nil {
		return err
	}
	defer store.Close() // gives back what is left of the lease
	limiter, err := slidingwindow.New(store, cfg.Limits["import"].Limit)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for range connections {
		group.Go(func() error { return importRows(ctx, limiter, service) })
	}
	return group.Wait()
}

func importRows(ctx context.Context, limiter *slidingwindow.Limiter, service string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", service)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], batchRows)
	for {
		asked := time.Now()
		d, err := limiter.AllowN(ctx, "rows", batchRows)
		if err != nil {
			return err
		}
		if !d.Allowed {
			select {
			case <-time.After(d.RetryAfter):
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if time.Since(asked) > mostDelay/2 { // this process was held up: it would come too late
			if err := limiter.Refund(ctx, "rows", d); err != nil {
				return err
			}
			continue
		}
		var answer [1]byte
		if _, err = conn.Write(size[:]); err == nil {
			_, err = io.ReadFull(conn, answer[:])
		}
		switch {
		case err != nil:
			return errors.Join(ctx.Err(), err)
		case answer[0] == answerDone:
			return limiter.Refund(ctx, "rows", d)
		}
	}
}

// Command importer imports three million rows into a service that takes 400,000 a second, from four
// processes that share one limit with leases: each takes units ahead for 50 ms or less and decides its
// own calls. The service, here a part of the program, counts exactly and tells of each row
// too many. It ends by itself. Redis is that of REDIS_URL, or a redis-server that it starts.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

const (
	processes = 4
	rows      = 3_000_000

	// What the service takes.
	maxRows = 400_000
	window  = time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does what it does to any program
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "importer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if service := os.Getenv(serviceVariable); service != "" {
		if err := work(ctx, service, os.Environ()); ctx.Err() == nil {
			return err
		}
		return nil // it was told to end
	}
	return importAll(ctx, rows, os.Stdout)
}

// importAll has processes import so many rows, and tells what became of it.
func importAll(ctx context.Context, rows int64, out *os.File) error {
	environ := os.Environ()
	if os.Getenv("REDIS_URL") == "" {
		server, err := redisserver.Start(ctx)
		if err != nil {
			return fmt.Errorf("set REDIS_URL, or install redis-server: %w", err)
		}
		defer func() { _ = server.Stop() }()
		environ = append(environ, "REDIS_URL="+server.URL())
	}
	service, err := listen(rows)
	if err != nil {
		return err
	}
	defer service.close()
	environ = append(environ, serviceVariable+"="+service.addr())
	program, err := os.Executable()
	if err != nil {
		return err
	}
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, processes)
	var all sync.WaitGroup
	for i := range processes {
		all.Go(func() {
			worker := exec.CommandContext(ctx, program)
			worker.Env, worker.Stderr = environ, os.Stderr
			worker.Cancel = func() error { return worker.Process.Signal(syscall.SIGTERM) }
			subprocess.Tie(worker)
			if err := worker.Run(); err != nil && ctx.Err() == nil {
				errs[i] = fmt.Errorf("process %d: %w", i, err)
				cancel()
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	show(out, service, rows, ended)
	<-ended
	took := time.Since(began)
	taken, violations := service.counts()
	fmt.Fprintf(out, "%d rows from %d processes in %.1fs, %d a second; the service takes %d a second\nviolations: %d\n",
		taken, processes, took.Seconds(), int64(float64(taken)/took.Seconds()), maxRows, violations)
	if violations > 0 {
		errs = append(errs, errors.New("the service was sent more than it takes"))
	}
	return errors.Join(errs...)
}

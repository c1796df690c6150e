// Command metrics shows what slidingwindow/otelmetrics measures. It starts a Redis, an API that
// limits rates, a Prometheus that scrapes it and a load on it, and has promtool ask for each
// expression of rules.yml and dashboard.json until it has data; then Redis ends, for the alerts
// of an outage. It ends by itself, and what it started with it.
//
//	make metrics
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

const patience = 3 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does what it does to any program
	bounded, cancel := context.WithTimeout(ctx, patience)
	err := run(bounded)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "metrics:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	all, err := queries()
	if err != nil {
		return err
	}
	redis, err := redisserver.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = redis.Stop() }()
	cfg, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=" + redis.URL()}})
	if err != nil {
		return err
	}
	cfg.Redis.Logger = slog.New(slog.DiscardHandler)
	observer, metrics, err := newObserver()
	if err != nil {
		return err
	}
	cfg.Redis.OnBatch = observer.Batch
	store, err := cfg.Redis.Open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if err := observer.ObserveStore(store); err != nil {
		return err
	}
	api := newAPI(store, observer, metrics)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := listener.Addr().String()
	server := &http.Server{Handler: api, ReadHeaderTimeout: 5 * time.Second}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) })
	loading, unload := context.WithCancel(ctx)
	running.Go(func() { load(loading, "http://"+addr) })
	defer running.Wait()
	defer func() { _ = server.Close() }()
	defer unload()
	prometheus, err := startPrometheus(ctx, addr)
	if err != nil {
		return err
	}
	defer prometheus.stop()

	fmt.Println("With Redis:")
	if err := await(ctx, prometheus, all, false); err != nil {
		return err
	}
	if err := redis.Kill(); err != nil {
		return err
	}
	fmt.Println("Without Redis:")
	return await(ctx, prometheus, all, true)
}

// await waits until each query has data, and prints one line of it.
func await(ctx context.Context, prometheus *scraper, all []query, outages bool) error {
	for _, q := range all {
		if q.outages != outages {
			continue
		}
		for {
			data, err := prometheus.has(ctx, q.expr)
			if err != nil {
				return errors.Join(fmt.Errorf("%s has no data: %s", q.of, q.expr), err)
			}
			if data != "" {
				first, _, _ := strings.Cut(data, "\n")
				fmt.Printf("  %-45s %s\n", q.of, first)
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
	return nil
}

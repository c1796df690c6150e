package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const shutdownTimeout = 5 * time.Second

// run serves the page until ctx ends and the requests in flight are answered. It tells ready,
// if not nil, the URL of the page.
func run(ctx context.Context, environ []string, logger *slog.Logger, ready func(url string)) error {
	cfg, err := config.Load(config.Sources{Environ: environ, Defaults: map[string]any{"redis.url": "memory://", "port": 3001}})
	if err != nil {
		return err
	}
	cfg.Redis.Logger = logger
	board := newBoard(defaultSettings)
	var stores []slidingwindow.Store
	for range instancesOf(cfg.Redis) {
		store, err := cfg.Redis.Open(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil // told to end before there was anything to serve
			}
			return err
		}
		defer store.Close() // when no request needs it any more
		stores = append(stores, store)
	}
	handler, err := newHandler(board, stores, !cfg.Redis.InMemory(), slidingwindow.PerSecond(mostRequests), logger)
	if err != nil {
		return err
	}
	// Not cfg.Listen: whatever HOST says, the page is for this computer only.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.Port)))
	if err != nil {
		return fmt.Errorf("port %d (PORT): %w", cfg.Port, err)
	}
	url := "http://" + listener.Addr().String()
	logger.Info("open it in a browser; Ctrl-C ends it", "page", url)
	if ready != nil {
		ready(url)
	}
	return serve(ctx, listener, handler, board, logger)
}

// instancesOf is how many instances the page shows: a log in this process cannot be shared.
func instancesOf(redis config.Redis) int {
	if redis.InMemory() {
		return 1
	}
	return 2
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler, board *board, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      15 * time.Second, // streams of events move theirs
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(board.close) // streams do not end by themselves
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("cannot serve: %w", err)
	case <-ctx.Done():
	}
	// ctx has ended; the requests in flight have not.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return errors.Join(fmt.Errorf("requests were cut off after %v: %w", shutdownTimeout, err), server.Close())
	}
	logger.Info("stopped")
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// shutdownTimeout is what orchestrators usually allow, less a margin.
const shutdownTimeout = 10 * time.Second

// run serves the API until ctx ends and the requests in flight are answered. It tells
// ready, if not nil, the address that it listens on.
func run(ctx context.Context, environ []string, logger *slog.Logger, ready func(addr string)) error {
	cfg, err := load(environ)
	if err != nil {
		return err
	}
	cfg.Redis.Logger = logger
	store, err := cfg.Redis.Open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to end before there was anything to serve
		}
		return err
	}
	// Last, when no request needs it any more.
	defer store.Close()
	if cfg.Redis.InMemory() {
		logger.Warn("no Redis: the limits hold within this process only", "REDIS_URL", "memory://")
	}

	handler, stop, err := followSettings(ctx, cfg, store, logger)
	if err != nil {
		return err
	}
	defer stop()
	listener, err := cfg.Listen(ctx, logger)
	if err != nil && ctx.Err() != nil {
		return nil // told to end while it looked HOST up
	}
	if err != nil {
		return err
	}
	logger.Info("listening", "addr", listener.Addr().String())
	if ready != nil {
		ready(listener.Addr().String())
	}
	return serve(ctx, listener, handler, logger)
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       60 * time.Second,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("cannot serve: %w", err)
	case <-ctx.Done():
	}
	logger.Info("shutting down", "at_most", shutdownTimeout)
	// ctx has ended; the requests in flight have not.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ending); err != nil {
		return errors.Join(fmt.Errorf("requests were cut off after %v: %w", shutdownTimeout, err), server.Close())
	}
	logger.Info("stopped")
	return nil
}

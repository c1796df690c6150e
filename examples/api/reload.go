package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/seed-e8747a6b/ratelimit/config"
)

// followSettings returns a handler of the settings as they are by now. A request is served by the
// handler that it came to, also if the settings change meanwhile. The counts are in the store, under
// the names of the limits, so a new handler begins with those of the old one. stop ends the
// watch of the files.
func followSettings(ctx context.Context, cfg *config.Config, store *config.Store, logger *slog.Logger) (handler http.Handler, stop func(), err error) {
	var current atomic.Pointer[http.Handler]
	use := func(cfg *config.Config) error {
		made, err := newHandler(cfg, store, logger)
		if err == nil {
			current.Store(&made)
		}
		return err
	}
	if err := use(cfg); err != nil {
		return nil, nil, err
	}
	watching, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { cfg.Watch(watching, logger, use) })
	serve := func(w http.ResponseWriter, r *http.Request) { (*current.Load()).ServeHTTP(w, r) }
	return http.HandlerFunc(serve), func() { cancel(); watch.Wait() }, nil
}

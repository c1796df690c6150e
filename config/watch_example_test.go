package config_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func ExampleConfig_Watch() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "limits.yaml")
	setMax := func(max string) {
		_ = os.WriteFile(file, []byte("limits: {api: {max: "+max+", window: 15m}}\n"), 0o600)
	}
	setMax("1")
	cfg, err := config.Load(config.Sources{YAML: file, Environ: []string{"REDIS_URL=memory://"}})
	if err != nil {
		fmt.Println(err)
		return
	}

	store := memory.New()
	var current atomic.Pointer[slidingwindow.Limiter] // calls use what is in it at that moment
	use := func(cfg *config.Config) error {
		settings, err := cfg.Limit("api")
		if err != nil {
			return err
		}
		limiter, err := slidingwindow.New(store, settings.Limit)
		if err != nil {
			return err
		}
		limiter.SetMode(settings.Mode)
		current.Store(limiter)
		return nil
	}
	if err := use(cfg); err != nil {
		fmt.Println(err)
		return
	}
	allow := func(ctx context.Context) {
		d, _ := current.Load().Allow(ctx, "ada")
		fmt.Println(d.Reason, d.Remaining)
	}

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	allow(ctx)
	allow(ctx)
	setMax("3")
	cfg.Watch(ctx, slog.New(slog.DiscardHandler), func(next *config.Config) error { // mostly in a goroutine of its own
		defer stop()
		return use(next)
	})
	allow(context.Background()) // the one from before counts
	// Output:
	// allowed 0
	// refused 0
	// allowed 1
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

// serveOne runs one instance, in the folder, in the environment and with the output of
// this process, until ctx ends.
func serveOne(ctx context.Context, screen *screen, api string, ways []way) (err error) {
	if os.Getenv("REDIS_URL") == "" && dotEnvSuffices() {
		screen.field("Redis", "the one of REDIS_URL in "+dotEnv)
		return serveUntil(ctx, screen, api, os.Environ())
	}
	redis, err := bringUp(ctx, screen, ways)
	if err != nil {
		return err
	}
	if redis.memory {
		screen.field("", "this instance shares its quota with no other one")
	}
	defer func() { err = errors.Join(err, redis.stop()) }()
	return serveUntil(ctx, screen, api, append(os.Environ(), "REDIS_URL="+redis.url))
}

func serveUntil(ctx context.Context, screen *screen, api string, environ []string) error {
	screen.field("Try", "curl -i http://127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "3000")+"/api/products")
	screen.field("End", "Ctrl-C")
	cmd := exec.Command(api) // not CommandContext: it is asked to end, not killed
	cmd.Env = environ
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	subprocess.Tie(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		_ = cmd.Process.Signal(syscall.SIGTERM)
		err = <-ended // it bounds its shutdown itself
	}
	if err != nil {
		return fmt.Errorf("the API failed: %w", err)
	}
	return nil
}

// The file that the API reads, too.
const dotEnv = ".env"

// dotEnvSuffices tells whether the API finds its Redis in a .env file.
func dotEnvSuffices() bool {
	if _, err := os.Stat(dotEnv); err != nil {
		return false
	}
	_, err := config.Load(config.Sources{DotEnv: dotEnv})
	return err == nil
}

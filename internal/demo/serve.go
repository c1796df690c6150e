package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

// The file that the API reads, too.
const dotEnv = ".env"

// serveOne runs one instance, in the folder, in the environment and with the output of
// this process, until ctx ends.
func serveOne(ctx context.Context, screen *screen, api string, cfg *config.Config, ways []way) (err error) {
	redis, err := bringUp(ctx, screen, ways)
	if err != nil {
		return err
	}
	if redis.memory {
		screen.field("", "this instance shares its quota with no other one")
	}
	defer func() { err = errors.Join(err, redis.stop()) }()
	screen.field("Try", "curl -i "+apiURL(cfg)+"/api/products")
	screen.field("End", "Ctrl-C")
	return serveUntil(ctx, api, instanceEnviron(os.Environ(), redis))
}

// apiURL is where the API of these settings answers.
func apiURL(cfg *config.Config) string {
	return "http://" + net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port))
}

// instanceEnviron is environ with the URL of a Redis that it may not have.
func instanceEnviron(environ []string, redis redis) []string {
	if redis.url == "" {
		return environ
	}
	return append(environ, setRedisURL+redis.url)
}

func serveUntil(ctx context.Context, api string, environ []string) error {
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

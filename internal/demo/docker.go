package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

const (
	redisImage = "redis:7"

	engineTimeout    = 5 * time.Second
	pullTimeout      = 2 * time.Minute
	containerTimeout = 20 * time.Second
)

// tetheredRedis runs Redis for as long as its standard input is open: when this process
// ends, even by SIGKILL, the engine closes it, cat ends, and with it the container.
const tetheredRedis = `redis-server --save "" --appendonly no --protected-mode no >/dev/null 2>&1 & exec cat >/dev/null`

// container runs Redis in a Docker container, where an engine answers.
func container(ctx context.Context, say func(string)) (redis, error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return redis{}, errors.New("not installed")
	}
	if _, err := docker(ctx, engineTimeout, "info", "--format", "{{.ServerVersion}}"); err != nil {
		return redis{}, errors.New("the engine does not answer")
	}
	if _, err := docker(ctx, engineTimeout, "image", "inspect", redisImage); err != nil {
		say("pulling " + redisImage)
		if _, err := docker(ctx, pullTimeout, "pull", "--quiet", redisImage); err != nil {
			return redis{}, fmt.Errorf("%s is not here and cannot be pulled", redisImage)
		}
	}
	return startContainer(ctx)
}

func startContainer(ctx context.Context) (_ redis, err error) {
	name := "ratelimit-demo-" + strings.ToLower(rand.Text())
	// Not CommandContext: it would kill the docker command, not the container.
	run := exec.Command("docker", "run", "--rm", "--interactive", "--name", name,
		"--publish", "127.0.0.1:0:6379", redisImage, "sh", "-c", tetheredRedis)
	var output bytes.Buffer
	run.Stderr = &output
	tether, err := run.StdinPipe()
	if err != nil {
		return redis{}, err
	}
	if err := run.Start(); err != nil {
		return redis{}, err
	}
	ended := make(chan struct{})
	go func() {
		_ = run.Wait() // its output says why
		close(ended)
	}()
	stop := func() error { return stopContainer(name, tether, ended) }
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()

	deadline := time.After(containerTimeout)
	for {
		addr, err := docker(ctx, engineTimeout, "port", name, "6379/tcp")
		if addr = firstLine(addr); err == nil && redisserver.Answers(ctx, addr) {
			return redis{
				url: "redis://" + addr, what: addr + ", a " + redisImage + " container of this demo",
				ours: true, stop: stop,
			}, nil
		}
		select {
		case <-ended:
			return redis{}, fmt.Errorf("the container ended: %s", firstLine(output.String()))
		case <-deadline:
			return redis{}, fmt.Errorf("the container does not answer within %v", containerTimeout)
		case <-ctx.Done():
			return redis{}, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stopContainer ends the container and waits until the engine has removed it.
func stopContainer(name string, tether io.Closer, ended <-chan struct{}) error {
	_ = tether.Close() // it is closed already if the command has ended
	select {
	case <-ended:
		return nil
	case <-time.After(containerTimeout):
	}
	// Not the demo's context: it may have ended, and the container must go.
	if _, err := docker(context.Background(), containerTimeout, "rm", "--force", name); err != nil {
		return fmt.Errorf("%w: end it by docker rm -f %s: %w", errLeftRunning, name, err)
	}
	return nil
}

func docker(ctx context.Context, timeout time.Duration, args ...string) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", args...).Output()
	if err != nil {
		return "", fmt.Errorf("docker %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

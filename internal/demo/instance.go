package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

const (
	instanceStartTimeout = 20 * time.Second
	instanceStopTimeout  = 15 * time.Second
	instanceTries        = 3
)

// client is for the instances: no proxy stands before a loopback address.
var client = &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}

// instance is one running examples/api process.
type instance struct {
	name  string
	url   string
	cmd   *exec.Cmd
	log   bytes.Buffer
	ended chan struct{} // closed when the process has ended, after err is set
	err   error
}

// startInstance runs api on a free port and waits until it answers. The caller must stop
// it.
func startInstance(ctx context.Context, name, api string, environ []string) (*instance, error) {
	// Another process may take the free port first.
	for try := 1; ; try++ {
		i, err := tryInstance(ctx, name, api, environ)
		if err == nil || try == instanceTries || !strings.Contains(err.Error(), syscall.EADDRINUSE.Error()) {
			return i, err
		}
	}
}

func tryInstance(ctx context.Context, name, api string, environ []string) (*instance, error) {
	port, err := subprocess.FreePort()
	if err != nil {
		return nil, err
	}
	i := &instance{name: name, url: "http://127.0.0.1:" + strconv.Itoa(port), ended: make(chan struct{})}
	i.cmd = exec.Command(api) // not CommandContext: it is asked to end, not killed
	i.cmd.Env = append(environ, "HOST=127.0.0.1", "PORT="+strconv.Itoa(port))
	i.cmd.Dir = "/" // a .env file in this folder is none of its business
	i.cmd.Stdout, i.cmd.Stderr = &i.log, &i.log
	subprocess.Tie(i.cmd)
	if err := i.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		i.err = i.cmd.Wait()
		close(i.ended)
	}()
	if err := i.awaitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("instance %s: %w", name, err), i.stop(), i.wrote())
	}
	return i, nil
}

func (i *instance) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, instanceStartTimeout)
	defer cancel()
	for {
		if i.healthy(ctx) {
			return nil
		}
		select {
		case <-i.ended:
			return errors.New("it ended while starting")
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (i *instance) healthy(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url+"/api/health/redis", nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop asks the process to end and waits until it has. It reports an exit code other
// than 0 of a process that was told to end.
func (i *instance) stop() error {
	select {
	case <-i.ended:
		return nil // by itself; whoever waits for it has said so
	default:
	}
	client.CloseIdleConnections()
	_ = i.cmd.Process.Signal(syscall.SIGTERM) // it may just have ended
	select {
	case <-i.ended:
		if i.err != nil {
			return fmt.Errorf("instance %s did not end well: %w", i.name, i.err)
		}
		return nil
	case <-time.After(instanceStopTimeout):
	}
	_ = i.cmd.Process.Kill()
	<-i.ended
	return fmt.Errorf("instance %s did not end within %v and was killed", i.name, instanceStopTimeout)
}

// wrote is an error that has the process's output. It must have ended.
func (i *instance) wrote() error {
	return fmt.Errorf("instance %s wrote:\n%s", i.name, strings.TrimSpace(i.log.String()))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// endTimeout is how long workers may take to finish what they have in hand.
const endTimeout = 30 * time.Second

// run has the workers work off all jobs, and tells what came of it.
func run(ctx context.Context, s *settings) (err error) {
	redis, err := openRedis(ctx)
	if err != nil {
		return err
	}
	defer func() {
		redis.Close()
		err = errors.Join(err, redis.stop())
	}()
	api := &api{max: s.max, window: s.window}
	var scripts int
	queue := newQueue(s.jobs, s.workers*s.lanes, func() (err error) {
		scripts, err = redis.scripts(ctx)
		return err
	})
	url, closeServer, err := serve(ctx, queue, api)
	if err != nil {
		return err
	}
	defer closeServer()

	fmt.Printf("%d jobs; the API allows %d in any %v; %d workers with %d jobs in hand each\n", s.jobs, s.max, s.window, s.workers, s.lanes)
	showing, shown := context.WithCancel(ctx)
	var bar sync.WaitGroup
	bar.Go(func() { show(showing, os.Stdout, s.jobs, func() int { return api.seen().calls }) })
	err = runWorkers(ctx, s, redis.url, url, queue)
	shown()
	bar.Wait()
	if err != nil {
		return err
	}
	after, err := redis.scripts(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	r := report{settings: s, results: api.seen(), asks: queue.granted(), commands: after - scripts, shared: !redis.ours}
	r.print(os.Stdout)
	if ctx.Err() != nil {
		fmt.Println("Told to end: what waited in line has given its place back.")
	}
	return r.fault(ctx.Err() != nil)
}

// serve serves the queue and the API on a free port of this machine.
func serve(ctx context.Context, queue *queue, api *api) (url string, closeServer func(), err error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /job", queue.give)
	mux.HandleFunc("POST /job", queue.takeBack)
	mux.Handle("POST /api", api)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // it ends when it is closed
	return "http://" + listener.Addr().String(), func() {
		_ = server.Close()
		serving.Wait()
	}, nil
}

// runWorkers returns when all workers have ended. If ctx ends, or one of them fails, all are told to end.
func runWorkers(ctx context.Context, s *settings, redisURL, queueURL string, queue *queue) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	errs := make([]error, s.workers)
	for i := range s.workers {
		cmd := exec.CommandContext(ctx, program, append(os.Args[1:len(os.Args):len(os.Args)], "-worker", queueURL)...)
		cmd.Env = append(os.Environ(), "REDIS_URL="+redisURL)
		cmd.Stderr = os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = endTimeout
		workers.Go(func() {
			if errs[i] = runWorker(cmd, queue); errs[i] != nil {
				cancel()
			}
		})
	}
	workers.Wait()
	for i, err := range errs {
		if errors.Is(err, context.Canceled) {
			errs[i] = nil // it was told to end, and did so without a fault
		} else if err != nil {
			errs[i] = fmt.Errorf("worker %d: %w", i, err)
		}
	}
	return errors.Join(errs...)
}

func runWorker(cmd *exec.Cmd, queue *queue) error {
	news, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = queue.follow(news)
	if err != nil {
		_, _ = io.Copy(io.Discard, news)
	}
	return errors.Join(err, cmd.Wait())
}

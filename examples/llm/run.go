package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// run lets the clients act, and tells what came of it.
func run(ctx context.Context, out *os.File) (err error) {
	store, closeStore, err := openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()

	model := &model{pause: time.Millisecond}
	upstream, endModel, err := serve(model)
	if err != nil {
		return err
	}
	defer endModel()
	// Keys of this run, so that a Redis that others use has counted nothing for them.
	s := settings{upstream: upstream, secret: []byte(rand.Text()), requests: 60, tokens: 100_000, window: time.Minute}
	var clients []*client
	calls := 0
	for _, script := range scripts() {
		if !script.stranger {
			s.keys = append(s.keys, script.key())
		}
		clients = append(clients, &client{script: script, statuses: map[int]int{}})
		calls += script.calls
	}
	handler, err := newGateway(store, &s)
	if err != nil {
		return err
	}
	var serving sync.WaitGroup // requests that the gateway has not settled yet
	gateway, endGateway, err := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		handler.ServeHTTP(w, r)
	}))
	if err != nil {
		return err
	}
	defer endGateway()

	_, _ = fmt.Fprintf(out, "A gateway with %d requests and %d tokens in any %v for each API key\n", s.requests, s.tokens, s.window)
	begun := time.Now()
	if err := act(ctx, out, clients, gateway, calls); err != nil {
		if ctx.Err() != nil {
			return nil // told to end
		}
		return err
	}
	serving.Wait() // also for the answers that clients hung up on
	faults, err := report(ctx, out, clients, model)
	if err == nil && time.Since(begun) < s.window {
		err = errors.Join(faults...) // later, what was used has left the window
	}
	return err
}

// act has all clients act at the same time.
func act(ctx context.Context, out *os.File, clients []*client, gateway string, calls int) error {
	var acting, bar sync.WaitGroup
	var made atomic.Int64
	showing, shown := context.WithCancel(ctx)
	bar.Go(func() { show(showing, out, calls, func() int { return int(made.Load()) }) })
	errs := make([]error, len(clients))
	for i, c := range clients {
		c.gateway = gateway
		acting.Go(func() { errs[i] = c.act(ctx, &made) })
	}
	acting.Wait()
	shown()
	bar.Wait()
	return errors.Join(errs...)
}

// report tells what each client met, and compares what the limiter counts with what the model has
// used: they are the same within a window.
func report(ctx context.Context, out io.Writer, clients []*client, model *model) (faults []error, err error) {
	_, _ = fmt.Fprintf(out, "%-45s %5s %4s %4s %4s %4s %5s %9s %11s %9s\n", "client", "calls", "200", "400", "401", "429", "left", "requests", "tokens used", "counted")
	for _, c := range clients {
		requests, err := c.inLog(ctx, requests)
		if err != nil {
			return nil, err
		}
		counted, err := c.inLog(ctx, tokens)
		if err != nil {
			return nil, err
		}
		used := model.usedBy(c.name)
		_, _ = fmt.Fprintf(out, "%-45s %5d %4d %4d %4d %4d %5d %9d %11d %9d\n", c.name+" "+c.does, c.calls,
			c.statuses[200], c.statuses[400], c.statuses[401], c.statuses[429], c.left, requests, used, counted)
		if counted != used {
			faults = append(faults, fmt.Errorf("%s: %d tokens are counted, and the model has used %d", c.name, counted, used))
		}
	}
	printFields(out, "ada's first answer", clients[0].first)
	printFields(out, "ada's first refusal", clients[0].refused)
	return faults, nil
}

func printFields(out io.Writer, title string, header http.Header) {
	_, _ = fmt.Fprintln(out, title)
	var names []string
	for name := range header {
		if strings.Contains(name, "Ratelimit") || name == "Retry-After" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		_, _ = fmt.Fprintf(out, "  %s: %s\n", strings.ToLower(name), header.Get(name))
	}
}

// serve serves on a free port of this machine until it is ended.
func serve(handler http.Handler) (url string, end func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // it ends when it is closed
	return "http://" + listener.Addr().String(), func() {
		_ = server.Close()
		serving.Wait()
	}, nil
}

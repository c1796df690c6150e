package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// load asks the API for all it has, more than its limits allow, until ctx ends.
func load(ctx context.Context, url string) {
	var all sync.WaitGroup
	for path, every := range map[string]time.Duration{
		"/products": 25 * time.Millisecond, "/broken": 100 * time.Millisecond, "/trial": 50 * time.Millisecond, "/report": 150 * time.Millisecond,
	} {
		all.Go(func() {
			next := time.NewTicker(every)
			defer next.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-next.C:
					all.Go(func() { get(ctx, url+path) })
				}
			}
		})
	}
	all.Wait()
}

// get asks once. What the answer is does not matter: the API counts it.
func get(ctx context.Context, url string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

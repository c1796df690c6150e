package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// key is what the limit is counted for: the account at the partner, whoever uses it.
const key = "partner:our-account"

// work is a worker process. It takes jobs until the queue has no more, several at a time, over one
// connection to Redis.
func work(ctx context.Context, s *settings) error {
	cfg, err := config.Load(config.Sources{Environ: os.Environ(), Defaults: map[string]any{
		"redis.timeout": "30s", // who waits in line has time
	}})
	if err != nil {
		return err
	}
	store, err := cfg.Redis.Open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()

	var lanes sync.WaitGroup
	news := &news{out: json.NewEncoder(os.Stdout)}
	errs := make([]error, s.lanes)
	for i := range s.lanes {
		line := &line{Store: store, news: news}
		limiter, err := slidingwindow.New(line, s.limit())
		if err != nil {
			return err
		}
		l := lane{queue: s.worker, margin: s.margin, line: line, limiter: limiter}
		lanes.Go(func() { errs[i] = l.work(ctx) })
	}
	lanes.Wait()
	return errors.Join(errs...)
}

// lane works off one job at a time.
type lane struct {
	queue   string
	margin  time.Duration
	line    *line
	limiter *slidingwindow.Limiter
}

// work returns nil when there are no more jobs, and when ctx ends: so a worker is told to end.
func (l *lane) work(ctx context.Context) error {
	for {
		job, err := l.takeJob(ctx)
		if err != nil || job == "" {
			return unlessEnded(ctx, err)
		}
		l.line.job = job
		done := false
		if err = l.limiter.Wait(ctx, key); err == nil {
			done, err = l.call(ctx, l.line.turn.Add(l.margin))
		} else {
			l.line.left() // Wait has given the place back
		}
		if !done {
			err = errors.Join(err, l.putBack(ctx))
		}
		if err != nil {
			return unlessEnded(ctx, err)
		}
	}
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// call does the job: it makes the one call of the API that may be made until then. It tells
// whether the API has counted it.
func (l *lane) call(ctx context.Context, deadline time.Time) (done bool, err error) {
	// A call that is under way when the worker is told to end is finished.
	status, _, err := l.send(context.WithoutCancel(ctx), http.MethodPost, "/api", deadline.Format(time.RFC3339Nano))
	if err != nil {
		return false, err
	}
	switch status {
	case http.StatusOK:
		return true, nil
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false, nil
	default:
		return false, fmt.Errorf("the API answers %d", status)
	}
}

// takeJob returns "" when there are no more jobs.
func (l *lane) takeJob(ctx context.Context) (job string, err error) {
	status, job, err := l.send(ctx, http.MethodGet, "/job", "")
	if err == nil && status != http.StatusOK && status != http.StatusNoContent {
		err = fmt.Errorf("the queue answers %d", status)
	}
	return job, err
}

func (l *lane) putBack(ctx context.Context) error {
	_, _, err := l.send(context.WithoutCancel(ctx), http.MethodPost, "/job", "")
	return err
}

func (l *lane) send(ctx context.Context, method, path, deadline string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, l.queue+path, nil)
	if err != nil {
		return 0, "", err
	}
	if deadline != "" {
		req.Header.Set(headerDeadline, deadline)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

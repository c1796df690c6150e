package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// round is one limit to show: more requests than it allows, to the instances in turn.
type round struct {
	title    string
	limit    string // its name in the headers
	max      int
	window   time.Duration
	method   string
	path     string
	body     string // JSON; empty for none
	requests int
}

// answer is what one request of a round got.
type answer struct {
	instance   string
	status     int
	remaining  string // of the round's limit; empty if the response does not tell
	retryAfter string // seconds, as the header has it; empty if it is not there
	body       string
}

// send makes the requests of the round, one after the other, and calls each with every
// answer.
func (r round) send(ctx context.Context, instances []*instance, each func(answer)) ([]answer, error) {
	answers := make([]answer, 0, r.requests)
	for n := range r.requests {
		a, err := r.ask(ctx, instances[n%len(instances)])
		if err != nil {
			return answers, fmt.Errorf("request %d: %w", n+1, err)
		}
		answers = append(answers, a)
		each(a)
	}
	return answers, nil
}

func (r round) ask(ctx context.Context, i *instance) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, i.url+r.path, strings.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{
		instance:   i.name,
		status:     resp.StatusCode,
		remaining:  remaining(resp.Header, r.limit),
		retryAfter: resp.Header.Get("Retry-After"),
		body:       strings.TrimSpace(string(body)),
	}, nil
}

// remaining is what the RateLimit header says of one limit: the 9 of "api";r=9;t=60.
func remaining(header http.Header, limit string) string {
	for _, item := range strings.Split(strings.Join(header.Values("RateLimit"), ","), ",") {
		params, ours := strings.CutPrefix(strings.TrimSpace(item), strconv.Quote(limit)+";")
		if !ours {
			continue
		}
		for _, param := range strings.Split(params, ";") {
			if units, ok := strings.CutPrefix(param, "r="); ok {
				return units
			}
		}
	}
	return ""
}

// check returns an error that says where the answers are not those of one quota: max
// requests allowed, counting down to 0, and every one after them refused.
func (r round) check(answers []answer) error {
	if len(answers) != r.requests {
		return fmt.Errorf("%d of %d requests were answered", len(answers), r.requests)
	}
	for i, a := range answers {
		if err := r.checkOne(i+1, a); err != nil {
			return fmt.Errorf("request %d, to instance %s: %w", i+1, a.instance, err)
		}
	}
	return nil
}

func (r round) checkOne(n int, a answer) error {
	status, left := http.StatusOK, strconv.Itoa(r.max-n)
	if n > r.max {
		status, left = http.StatusTooManyRequests, "0"
	}
	switch {
	case a.status != status:
		return fmt.Errorf("status %d, should be %d with a limit of %d", a.status, status, r.max)
	case a.remaining != left:
		return fmt.Errorf("%q remaining, should be %s", a.remaining, left)
	case status == http.StatusOK:
		return nil
	}
	if wait, err := strconv.Atoi(a.retryAfter); err != nil || wait < 1 || wait > int(r.window.Seconds()) {
		return fmt.Errorf("Retry-After is %q, should be 1 to %.0f", a.retryAfter, r.window.Seconds())
	}
	return nil
}

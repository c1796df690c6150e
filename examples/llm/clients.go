package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// script is what one client does.
type script struct {
	name, does string
	calls      int
	prompt     string
	most       int64 // max_completion_tokens
	hangsUp    bool  // after the first piece of each answer
	stranger   bool  // the gateway does not know its key
}

func scripts() []script {
	return []script{
		{name: "ada", does: "makes more requests than she may", calls: 65, prompt: "say something short", most: 50},
		{name: "bert", does: "asks for much and uses little", calls: 10, prompt: "one two three four", most: 60_000},
		{name: "cleo", does: "asks for more than anybody may have", calls: 1, prompt: "as long as you can", most: 10_000_000},
		{name: "dora", does: "has a prompt that is too long", calls: 1, prompt: strings.Repeat("word ", 90_000), most: 1},
		{name: "emil", does: "hangs up in the middle of each answer", calls: 5, prompt: "story of a client that hangs up", most: 2_000, hangsUp: true},
		{name: "fay", does: "has used more than was estimated", calls: 3, prompt: strings.Repeat("a ", 15_000), most: 100},
		{name: "gil", does: "has no key", calls: 1, prompt: "hello", most: 1, stranger: true},
	}
}

func (s *script) key() string { return "sk-" + s.name }

// client acts out a script.
type client struct {
	script
	gateway string

	statuses       map[int]int
	left           int         // answers that it hung up on
	first, refused http.Header // of its first response, and of its first refusal
}

// act makes all calls, one after the other. It counts each in made.
func (c *client) act(ctx context.Context, made *atomic.Int64) error {
	for range c.calls {
		if err := c.call(ctx); err != nil {
			return err
		}
		made.Add(1)
	}
	return nil
}

func (c *client) call(ctx context.Context) error {
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	body, err := json.Marshal(map[string]any{
		"model": "small", "user": c.name, "max_completion_tokens": c.most,
		"messages": []map[string]string{{"role": "user", "content": c.prompt}},
	})
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, http.MethodPost, "/v1/chat/completions", body)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	c.statuses[resp.StatusCode]++
	if c.first == nil {
		c.first = resp.Header
	}
	if c.refused == nil && resp.StatusCode == http.StatusTooManyRequests {
		c.refused = resp.Header
	}
	if c.hangsUp && resp.StatusCode == http.StatusOK {
		c.left++
		_, err = resp.Body.Read(make([]byte, 1))
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// inLog asks the gateway what counts for the client.
func (c *client) inLog(ctx context.Context, limit string) (units int64, err error) {
	resp, err := c.send(ctx, http.MethodGet, "/v1/limits", nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusUnauthorized {
		return 0, nil
	}
	all, err := strconv.ParseInt(resp.Header.Get("x-ratelimit-limit-"+limit), 10, 64)
	if err != nil {
		return 0, err
	}
	remaining, err := strconv.ParseInt(resp.Header.Get("x-ratelimit-remaining-"+limit), 10, 64)
	return all - remaining, err
}

func (c *client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.gateway+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key())
	req.Header.Set("Content-Type", "application/json")
	return http.DefaultClient.Do(req)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
)

// The outage: three programs that differ in redis.on_failure call 20 times a second with a
// limit of 10 a second, while the Redis that they share is killed and started again.
const (
	outageMax    = 10
	outageEvery  = 50 * time.Millisecond
	outageLength = 12 * time.Second
	outageBegins = 4 * time.Second
	outageEnds   = 8 * time.Second
)

var policies = []guard.Policy{guard.Closed, guard.Open, guard.Fallback}

// What callers see.
const (
	seenAllowed         = "allowed"
	seenRefused         = "refused"
	seenFallbackAllowed = "allowed by the fallback"
	seenFallbackRefused = "refused by the fallback"
	seenUncounted       = "allowed uncounted"
	seenError           = "error"
)

// seen says what the caller of Allow saw.
func seen(d slidingwindow.Decision, err error) string {
	switch {
	case err != nil:
		return seenError
	case d.Reason == slidingwindow.ReasonFailOpen:
		return seenUncounted
	case d.Reason == slidingwindow.ReasonFallback && d.Allowed:
		return seenFallbackAllowed
	case d.Reason == slidingwindow.ReasonFallback:
		return seenFallbackRefused
	case d.Allowed:
		return seenAllowed
	}
	return seenRefused
}

// measureOutage makes the calls. Its rows are who, when and what: a policy and what a call
// saw, or "redis" and what became of it.
func measureOutage(ctx context.Context) (_ [][]string, err error) {
	server, err := redisserver.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()

	var limiters []*slidingwindow.Limiter
	for _, policy := range policies {
		cfg, err := config.Load(config.Sources{Environ: []string{}, Defaults: map[string]any{
			"redis.url": server.URL(), "redis.on_failure": string(policy), "redis.prefix": string(policy),
			"limits.api.max": outageMax, "limits.api.window": time.Second,
		}})
		if err != nil {
			return nil, err
		}
		store, err := cfg.Redis.Open(ctx)
		if err != nil {
			return nil, err
		}
		defer store.Close()
		limiter, err := slidingwindow.New(store, cfg.Limits["api"].Limit)
		if err != nil {
			return nil, err
		}
		limiters = append(limiters, limiter)
	}

	var (
		rows  [][]string
		lock  sync.Mutex
		calls sync.WaitGroup
	)
	start := time.Now()
	note := func(who string, at time.Duration, what string) {
		lock.Lock()
		defer lock.Unlock()
		rows = append(rows, []string{who, seconds(at), what})
	}
	turns := make(chan error, 1)
	go func() { turns <- killAndRestart(ctx, server, start, note) }()
	for at := time.Duration(0); at < outageLength; at += outageEvery {
		if err := sleep(ctx, time.Until(start.Add(at))); err != nil {
			return nil, errors.Join(err, <-turns)
		}
		for i, limiter := range limiters {
			calls.Go(func() {
				began := time.Since(start)
				d, err := limiter.Allow(ctx, "client")
				note(string(policies[i]), began, seen(d, err))
			})
		}
	}
	calls.Wait()
	if err := <-turns; err != nil {
		return nil, err
	}
	slices.SortStableFunc(rows, func(a, b []string) int { return slices.Compare(a[:1], b[:1]) })
	return append([][]string{{"who", "second", "what"}}, rows...), nil
}

// killAndRestart is what happens to Redis meanwhile.
func killAndRestart(ctx context.Context, server *redisserver.Server, start time.Time, note func(string, time.Duration, string)) error {
	if err := sleep(ctx, time.Until(start.Add(outageBegins))); err != nil {
		return err
	}
	note("redis", time.Since(start), "killed")
	if err := server.Kill(); err != nil {
		return err
	}
	if err := sleep(ctx, time.Until(start.Add(outageEnds))); err != nil {
		return err
	}
	if err := server.Restart(ctx); err != nil {
		return err
	}
	note("redis", time.Since(start), "answers")
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// outage is what was measured: the calls of each policy, and when Redis was away.
type outage struct {
	calls        map[string][]sight
	began, ended float64
}

type sight struct {
	at   float64
	what string
}

func readOutage(file string) (outage, error) {
	rows, err := readTable(file)
	if err != nil {
		return outage{}, err
	}
	o := outage{calls: map[string][]sight{}}
	for _, row := range rows {
		at, err := number(row, "second")
		if err != nil {
			return outage{}, fmt.Errorf("%s: %w", file, err)
		}
		switch row["what"] {
		case "killed":
			o.began = at
		case "answers":
			o.ended = at
		default:
			o.calls[row["who"]] = append(o.calls[row["who"]], sight{at, row["what"]})
		}
	}
	return o, nil
}

func drawOutage(theme theme, o outage) string {
	const left, right = 64, 20
	c := newCanvas(theme, 620)
	c.text(left, 30, 17, c.ink, "start", "One outage of Redis, as callers see it", `font-weight="600"`)
	c.text(left, 50, 12, c.muted, "start", fmt.Sprintf("20 calls a second, a limit of %d a second; calls in each half second", outageMax))

	kinds := []struct{ what, label, fill, more string }{
		{seenAllowed, seenAllowed, c.allowed, ""},
		{seenFallbackAllowed, seenFallbackAllowed, "url(#hatch-allowed)", ""},
		{seenUncounted, "allowed, not counted", c.page, fmt.Sprintf(`stroke="%s" stroke-width="2"`, c.allowed)},
		{seenRefused, seenRefused, c.refused, ""},
		{seenFallbackRefused, seenFallbackRefused, "url(#hatch-refused)", ""},
		{seenError, "error: no decision", c.failed, ""},
	}
	for i, kind := range kinds {
		at, line := left+float64(i%3)*205, 64+float64(i/3)*20
		c.rect(at+1, line+1, 11, 11, kind.fill, kind.more)
		c.text(at+18, line+11, 12, c.ink, "start", kind.label)
	}

	x := scale{0, outageLength.Seconds(), left, width - right}
	for i, policy := range policies {
		top := 128 + float64(i)*155
		y := scale{0, 10, top + 120, top + 14}
		c.rect(x.of(o.began), y.end-4, x.of(o.ended)-x.of(o.began), y.at-y.end+4, c.panel)
		for v := 0.0; v <= y.to; v += 5 {
			c.line(x.at, y.of(v), x.end, y.of(v), c.grid, 1)
			c.text(x.at-8, y.of(v)+4, 12, c.muted, "end", strconv.Itoa(int(v)))
		}
		c.text(18, (y.at+y.end)/2, 12, c.muted, "middle", "calls", fmt.Sprintf(`transform="rotate(-90 18 %s)"`, px((y.at+y.end)/2)))
		c.text(left, top+2, 13, c.ink, "start", "on_failure: "+string(policy), `font-weight="600"`)
		const bin = 0.5
		for n := range int(x.to / bin) {
			base := 0.0
			for _, kind := range kinds {
				count := 0.0
				for _, call := range o.calls[string(policy)] {
					if int(call.at/bin) == n && call.what == kind.what {
						count++
					}
				}
				if count > 0 {
					inset := map[bool]float64{true: 1}[kind.what == seenUncounted] // the outline is half outside
					c.rect(x.of(float64(n)*bin)+2+inset, y.of(base+count)+inset, x.of(bin)-x.of(0)-4-2*inset, y.of(0)-y.of(count)-2*inset, kind.fill, kind.more)
					base += count
				}
			}
		}
		for _, at := range []float64{o.began, o.ended} {
			c.line(x.of(at), y.end-4, x.of(at), y.at, c.ink, 1.5, `stroke-dasharray="4 3"`)
		}
		c.text((x.of(o.began)+x.of(o.ended))/2, top+2, 12, c.muted, "middle", "Redis is away")
	}
	for v := x.from; v <= x.to; v++ {
		c.text(x.of(v), 576, 12, c.muted, "middle", strconv.Itoa(int(v)))
	}
	c.text((x.at+x.end)/2, 602, 12, c.muted, "middle", "seconds")
	return c.svg("One outage under the three policies", fmt.Sprintf(
		"Redis is away from second %.1f to second %.1f. Meanwhile closed returns errors, open allows every call uncounted, and fallback limits within the process.", o.began, o.ended))
}

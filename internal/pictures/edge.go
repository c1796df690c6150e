package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/internal/fixedwindow"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// The edge burst: one request begins the fixed window, the rest of Max follow before its end, and
// Max more right after it; then a steady stream shows how each limiter goes on.
const (
	edgeMax    = 20
	edgeWindow = 4 * time.Second
	edgeLength = 10 * time.Second
)

const (
	fixed = "fixed window"
	ours  = "sliding log"
)

// edgeHit is one request to one of the two limiters.
type edgeHit struct {
	at      float64 // seconds
	allowed bool
}

// edgeTimes are when the requests are made.
func edgeTimes() []time.Duration {
	times := []time.Duration{0}
	for i := range edgeMax - 1 {
		times = append(times, edgeWindow-500*time.Millisecond+time.Duration(i)*10*time.Millisecond)
	}
	for i := range edgeMax {
		times = append(times, edgeWindow+100*time.Millisecond+time.Duration(i)*10*time.Millisecond)
	}
	for at := edgeWindow + 600*time.Millisecond; at < edgeLength; at += 200 * time.Millisecond {
		times = append(times, at)
	}
	return times
}

// measureEdge makes the requests to both limiters on a private Redis.
func measureEdge(ctx context.Context) (_ [][]string, err error) {
	server, err := redisserver.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	counters, err := fixedwindow.NewStore(client, "fixed")
	if err != nil {
		return nil, err
	}
	logs, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	limit := slidingwindow.Limit{Name: "api", Max: edgeMax, Window: edgeWindow}
	names := []string{fixed, ours}
	limiters := map[string]*slidingwindow.Limiter{}
	for name, store := range map[string]slidingwindow.Store{fixed: counters, ours: logs} {
		if limiters[name], err = slidingwindow.New(store, limit); err != nil {
			return nil, err
		}
		if _, err := limiters[name].Peek(ctx, "warm up"); err != nil {
			return nil, err
		}
	}

	rows := [][]string{{"limiter", "second", "allowed"}}
	start := time.Now()
	for _, at := range edgeTimes() {
		select {
		case <-time.After(time.Until(start.Add(at))):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		for _, name := range names {
			d, err := limiters[name].Allow(ctx, "client")
			if err != nil {
				return nil, err
			}
			took := time.Since(start)
			if at < edgeWindow && took >= edgeWindow {
				return nil, fmt.Errorf("a request meant for %v was answered at %v, after the edge; try again on a machine that is less busy", at, took)
			}
			rows = append(rows, []string{name, seconds(took), strconv.FormatBool(d.Allowed)})
		}
	}
	return rows, nil
}

func readEdge(file string) (map[string][]edgeHit, error) {
	rows, err := readTable(file)
	if err != nil {
		return nil, err
	}
	hits := map[string][]edgeHit{}
	for _, row := range rows {
		at, err := number(row, "second")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		hits[row["limiter"]] = append(hits[row["limiter"]], edgeHit{at, row["allowed"] == "true"})
	}
	return hits, nil
}

// used is how many of the hits before and at the time are in its window.
func used(hits []edgeHit, at float64) int {
	n := 0
	for _, hit := range hits {
		if hit.allowed && hit.at <= at && hit.at > at-edgeWindow.Seconds() {
			n++
		}
	}
	return n
}

// mostUsed is the highest number of allowed hits in any window.
func mostUsed(hits []edgeHit) int {
	most := 0
	for _, hit := range hits {
		most = max(most, used(hits, hit.at))
	}
	return most
}

func drawEdge(theme theme, hits map[string][]edgeHit) string {
	const left, right = 64, 20
	c := newCanvas(theme, 560)
	c.text(left, 30, 17, c.ink, "start", fmt.Sprintf("A burst around the edge: %d requests in any %v are the limit", edgeMax, edgeWindow), `font-weight="600"`)
	c.rect(left, 43, 12, 12, c.allowed)
	c.text(left+18, 53, 12, c.ink, "start", "allowed")
	c.rect(left+82, 43, 12, 12, c.refused)
	c.text(left+100, 53, 12, c.ink, "start", "refused, in each 0.1 s")
	c.line(left+272, 49, left+296, 49, c.ink, 2)
	c.text(left+302, 53, 12, c.ink, "start", fmt.Sprintf("allowed in the last %v", edgeWindow))

	x := scale{0, edgeLength.Seconds(), left, width - right}
	for i, panel := range []struct{ name, title string }{
		{fixed, "Fixed window: %d allowed within %v"},
		{ours, "This library, a sliding log: never more than %d in any %v"},
	} {
		top := 78 + float64(i)*235
		y := scale{0, 2 * edgeMax, top + 185, top + 18}
		c.edgePanel(x, y, hits[panel.name])
		c.text(left, top+6, 14, c.ink, "start", fmt.Sprintf(panel.title, mostUsed(hits[panel.name]), edgeWindow), `font-weight="600"`)
		if panel.name == fixed {
			edge := x.of(hits[fixed][0].at + edgeWindow.Seconds())
			c.line(edge, y.end, edge, y.at, c.muted, 1.5, `stroke-dasharray="2 3"`)
			c.text(edge-6, y.end+12, 12, c.muted, "end", "the window's edge")
		}
	}
	c.text((x.at+x.end)/2, 545, 12, c.muted, "middle", "seconds")
	return c.svg("The edge burst", fmt.Sprintf("Of the same requests, a fixed window allowed %d within one window of %v, and the sliding log %d; the limit is %d.",
		mostUsed(hits[fixed]), edgeWindow, mostUsed(hits[ours]), edgeMax))
}

func (c *canvas) edgePanel(x, y scale, hits []edgeHit) {
	for v := 0.0; v <= y.to; v += 10 {
		c.line(x.at, y.of(v), x.end, y.of(v), c.grid, 1)
		c.text(x.at-8, y.of(v)+4, 12, c.muted, "end", strconv.Itoa(int(v)))
	}
	for v := x.from; v <= x.to; v++ {
		c.text(x.of(v), y.at+17, 12, c.muted, "middle", strconv.Itoa(int(v)))
	}
	c.text(18, (y.at+y.end)/2, 12, c.muted, "middle", "requests", fmt.Sprintf(`transform="rotate(-90 18 %s)"`, px((y.at+y.end)/2)))

	const bin = 0.1
	for i := range int(x.to / bin) {
		var counts [2]int // allowed, refused
		for _, hit := range hits {
			if int(hit.at/bin) == i {
				counts[map[bool]int{true: 0, false: 1}[hit.allowed]]++
			}
		}
		at, base := x.of(float64(i)*bin), 0
		for n, fill := range []string{c.allowed, c.refused} {
			if counts[n] > 0 {
				c.rect(at+0.5, y.of(float64(base+counts[n])), x.of(bin)-x.of(0)-1, y.of(0)-y.of(float64(counts[n])), fill)
				base += counts[n]
			}
		}
	}

	c.line(x.at, y.of(edgeMax), x.end, y.of(edgeMax), c.failed, 1.5, `stroke-dasharray="6 4"`)
	c.text(x.at+6, y.of(edgeMax)-6, 12, c.failed, "start", fmt.Sprintf("Max = %d", edgeMax))
	var steps []point
	last := 0
	const step = 0.02
	for i := range int(x.to/step) + 1 {
		at := float64(i) * step
		now := used(hits, at)
		if i > 0 && now != last {
			steps = append(steps, point{x.of(at), y.of(float64(last))})
		}
		if i == 0 || now != last {
			steps = append(steps, point{x.of(at), y.of(float64(now))})
		}
		last = now
	}
	c.path(append(steps, point{x.end, y.of(float64(last))}), c.ink, 2)
}

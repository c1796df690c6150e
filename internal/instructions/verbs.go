package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislimiter"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// verb is a method of a Limiter.
type verb struct {
	name   string
	costs  bool // two limits, with costs of their own
	full   bool // the log has no unit left
	before func(ctx context.Context, l *slidingwindow.Limiter, key string) (slidingwindow.Decision, error)
	call   func(ctx context.Context, l *slidingwindow.Limiter, key string, d slidingwindow.Decision) error
}

const verbCalls = 300

var cost = slidingwindow.Cost{"requests": 1, "tokens": 1200}

func verbs() []verb {
	take3 := func(ctx context.Context, l *slidingwindow.Limiter, key string) (slidingwindow.Decision, error) {
		return l.AllowN(ctx, key, 3)
	}
	takeCost := func(ctx context.Context, l *slidingwindow.Limiter, key string) (slidingwindow.Decision, error) {
		return l.AllowCost(ctx, key, cost)
	}
	return []verb{
		{name: "Allow", call: func(ctx context.Context, l *slidingwindow.Limiter, key string, _ slidingwindow.Decision) error {
			return allowed(l.Allow(ctx, key))
		}},
		{name: "AllowN of 3", call: func(ctx context.Context, l *slidingwindow.Limiter, key string, _ slidingwindow.Decision) error {
			return allowed(l.AllowN(ctx, key, 3))
		}},
		{name: "AllowAtMost of 5", call: func(ctx context.Context, l *slidingwindow.Limiter, key string, _ slidingwindow.Decision) error {
			return allowed(l.AllowAtMost(ctx, key, 5))
		}},
		{name: "AllowCost of two limits", costs: true, call: func(ctx context.Context, l *slidingwindow.Limiter, key string, _ slidingwindow.Decision) error {
			return allowed(l.AllowCost(ctx, key, cost))
		}},
		{name: "Peek", call: func(ctx context.Context, l *slidingwindow.Limiter, key string, _ slidingwindow.Decision) error {
			return allowed(l.Peek(ctx, key))
		}},
		{name: "Reserve (and Wait), at once", call: func(ctx context.Context, l *slidingwindow.Limiter, key string, _ slidingwindow.Decision) error {
			return allowed(l.Reserve(ctx, key, 1, 2*window))
		}},
		{name: "Reserve (and Wait), in line", full: true, call: func(ctx context.Context, l *slidingwindow.Limiter, key string, _ slidingwindow.Decision) error {
			return allowed(l.Reserve(ctx, key, 1, 2*window))
		}},
		{name: "Refund of 3", before: take3, call: func(ctx context.Context, l *slidingwindow.Limiter, key string, d slidingwindow.Decision) error {
			return l.Refund(ctx, key, d)
		}},
		{name: "Settle of one of two limits", costs: true, before: takeCost, call: func(ctx context.Context, l *slidingwindow.Limiter, key string, d slidingwindow.Decision) error {
			return l.Settle(ctx, key, d, slidingwindow.Cost{"tokens": 350})
		}},
		{name: "Charge of 350", costs: true, call: func(ctx context.Context, l *slidingwindow.Limiter, key string, _ slidingwindow.Decision) error {
			return l.Charge(ctx, key, slidingwindow.Cost{"tokens": 350})
		}},
		{name: "Reset", call: func(ctx context.Context, l *slidingwindow.Limiter, key string, _ slidingwindow.Decision) error {
			return l.Reset(ctx, key)
		}},
	}
}

func allowed(d slidingwindow.Decision, err error) error {
	if err == nil && !d.Allowed {
		err = errors.New("the call was refused")
	}
	return err
}

// verbCounter counts what calls by the library's own way to Redis cost.
type verbCounter struct {
	*server
	client rueidis.Client
	store  *slidingwindow.RedisStore
}

// patience is for a server that runs in valgrind.
const patience = time.Minute

func (s *server) clientOption() rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress:      []string{s.addr},
		Dialer:           net.Dialer{Timeout: patience, KeepAlive: time.Hour}, // rueidis pings as often as that
		ConnWriteTimeout: patience,
	}
}

func countVerbs(ctx context.Context, s *server) (rows []verbRow, err error) {
	client, err := rueidis.NewClient(s.clientOption())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: patience})
	if err != nil {
		return nil, err
	}
	c := &verbCounter{server: s, client: client, store: store}
	for _, v := range verbs() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, err := c.verb(ctx, &v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (c *verbCounter) verb(ctx context.Context, v *verb) (verbRow, error) {
	limits := []slidingwindow.Limit{{Name: "requests", Max: 1000, Window: window}}
	if v.costs {
		limits = append(limits, slidingwindow.Limit{Name: "tokens", Max: 1_000_000, Window: window})
	}
	if v.full {
		limits[0].Max = hits
	}
	l, err := slidingwindow.New(c.store, limits...)
	if err != nil {
		return verbRow{}, err
	}
	decisions := make([]slidingwindow.Decision, verbCalls)
	key := func(i int) string { return fmt.Sprintf("%s %d", v.name, i) }
	for i := range decisions {
		for range hits {
			if v.costs {
				err = allowed(l.AllowCost(ctx, key(i), cost))
			} else {
				err = allowed(l.Allow(ctx, key(i)))
			}
			if err != nil {
				return verbRow{}, err
			}
		}
		if v.before != nil {
			if decisions[i], err = v.before(ctx, l, key(i)); err != nil {
				return verbRow{}, err
			}
		}
	}
	// The first of all may load a script.
	if err := v.call(ctx, l, key(0), decisions[0]); err != nil {
		return verbRow{}, err
	}
	before, err := c.commands(ctx)
	if err != nil {
		return verbRow{}, err
	}
	n, err := c.count(func() error {
		for i, d := range decisions[1:] {
			if err := v.call(ctx, l, key(i+1), d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return verbRow{}, err
	}
	after, err := c.commands(ctx)
	if err != nil {
		return verbRow{}, err
	}
	const calls = verbCalls - 1
	scripts, all := after.scripts-before.scripts, after.all-before.all
	r := verbRow{name: v.name, sent: float64(scripts) / calls, inside: float64(all-scripts) / calls, instructions: n / 1000 / calls}
	if scripts == 0 {
		r.sent, r.inside = r.inside, 0
	}
	return r, nil
}

type commandCount struct{ scripts, all int }

var commandStat = regexp.MustCompile(`(?m)^cmdstat_([^:]+):calls=(\d+),`)

// commands are those that the server was sent, or that scripts called, but for the one that asks.
func (c *verbCounter) commands(ctx context.Context) (n commandCount, err error) {
	info, err := c.client.Do(ctx, c.client.B().Info().Section("commandstats").Build()).ToString()
	if err != nil {
		return n, err
	}
	for _, match := range commandStat.FindAllStringSubmatch(info, -1) {
		calls, err := strconv.Atoi(match[2])
		if err != nil {
			return n, err
		}
		switch match[1] {
		case "evalsha", "eval", "evalsha_ro":
			n.scripts += calls
			n.all += calls
		case "info":
		default:
			n.all += calls
		}
	}
	return n, nil
}

// countPeer counts a call of rueidislimiter, a fixed window, beside which a log has to stand.
func countPeer(ctx context.Context, s *server) (float64, error) {
	limiter, err := rueidislimiter.NewRateLimiter(rueidislimiter.RateLimiterOption{ClientOption: s.clientOption(), Limit: 1000, Window: window})
	if err != nil {
		return 0, err
	}
	ask := func(i int) error {
		result, err := limiter.Allow(ctx, fmt.Sprintf("user%d", i))
		if err == nil && !result.Allowed {
			err = errors.New("the call was refused")
		}
		return err
	}
	for i := range lone {
		for range hits {
			if err := ask(i); err != nil {
				return 0, err
			}
		}
	}
	n, err := s.count(func() error {
		for i := range lone {
			if err := ask(i); err != nil {
				return err
			}
		}
		return nil
	})
	return n / 1000 / lone, err
}

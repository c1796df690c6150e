package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/seed-e8747a6b/ratelimit/config"
)

// Small limits, so that they are reached at once; and a short window, so that what stays
// in a Redis that is not ours soon expires.
const (
	apiMax     = 10
	loginMax   = 5
	demoWindow = time.Minute
)

// showcase is the demo.
func showcase(ctx context.Context, screen *screen, api string, _ *config.Config, ways []way) error {
	screen.print("\n" + screen.bold("One quota for all instances") + "\n")
	redis, err := bringUp(ctx, screen, ways)
	if err != nil {
		return err
	}
	names := []string{"A", "B"}
	if redis.memory {
		names = names[:1] // two processes without a Redis have two quotas
	}
	for _, round := range []round{
		{
			title: "Every route under /api", limit: "api", max: apiMax, window: demoWindow,
			method: http.MethodGet, path: "/api/products", requests: apiMax + 4,
		},
		{
			title: "Logging in", limit: "login", max: loginMax, window: demoWindow,
			method: http.MethodPost, path: "/api/users/login", body: `{"username": "ada", "password": "x"}`,
			requests: loginMax + 2,
		},
	} {
		if err := play(ctx, screen, api, redis, names, round); err != nil {
			return errors.Join(err, redis.stop())
		}
	}
	if err := redis.stop(); err != nil {
		return err
	}
	screen.print(ending(redis))
	screen.print(screen.good(summary(redis)))
	return nil
}

// play shows one round on instances of its own, with quotas of their own: what an
// earlier round used does not count.
func play(ctx context.Context, screen *screen, api string, redis redis, names []string, round round) (err error) {
	environ := demoEnviron(os.Environ(), redis)
	var instances []*instance
	defer func() { err = stopAll(instances, err) }()
	for _, name := range names {
		i, err := startInstance(ctx, name, api, environ)
		if err != nil {
			return err
		}
		instances = append(instances, i)
		screen.field("Instance "+name, fmt.Sprintf("%s, process %d", i.url, i.cmd.Process.Pid))
	}
	table := newTable(screen, round)
	table.head()
	answers, err := round.send(ctx, instances, table.row)
	if err != nil {
		return err
	}
	if err := round.check(answers); err != nil {
		return fmt.Errorf("the limit %q does not hold: %w", round.limit, err)
	}
	screen.print(screen.faint("       "+answers[len(answers)-1].body) + "\n")
	return nil
}

// stopAll ends the instances, and adds to the err of a round what they wrote.
func stopAll(instances []*instance, err error) error {
	failed := err != nil
	for _, i := range instances {
		err = errors.Join(err, i.stop())
		if failed {
			err = errors.Join(err, i.wrote())
		}
	}
	return err
}

// demoEnviron is the environment of an instance: small limits under keys that no other
// run has, and nothing that would change them.
func demoEnviron(environ []string, redis redis) []string {
	var kept []string
	for _, setting := range environ {
		name, _, _ := strings.Cut(setting, "=")
		// What goes with somebody's REDIS_URL is not for a Redis of ours.
		if redis.ours && strings.HasPrefix(name, "REDIS_") {
			continue
		}
		if strings.HasPrefix(name, "LIMITS_") || strings.HasPrefix(name, "RESPONSE_") || strings.HasPrefix(name, "CLIENT_") {
			continue
		}
		kept = append(kept, setting)
	}
	return append(instanceEnviron(kept, redis),
		"REDIS_PREFIX=demo-"+rand.Text()[:10],
		"REDIS_TIMEOUT=10s", // a busy computer is no reason to fail
		fmt.Sprintf("LIMITS_API_MAX=%d", apiMax), fmt.Sprintf("LIMITS_API_WINDOW=%s", demoWindow),
		fmt.Sprintf("LIMITS_LOGIN_MAX=%d", loginMax), fmt.Sprintf("LIMITS_LOGIN_WINDOW=%s", demoWindow))
}

// ending tells what is left behind.
func ending(redis redis) string {
	if redis.ours {
		return "Nothing is left running."
	}
	return fmt.Sprintf("Nothing is left running; the keys demo-* in your Redis expire in %s.", words(2*demoWindow))
}

func summary(redis redis) string {
	what := fmt.Sprintf("%d requests and %d logins passed, then none.", apiMax, loginMax)
	if redis.memory {
		return "One instance, for want of a Redis: " + what
	}
	return "Two instances, one quota: " + what
}

// words is a duration as this demo has them: minute, 2 minutes, 30s.
func words(d time.Duration) string {
	switch {
	case d == time.Minute:
		return "minute"
	case d%time.Minute == 0:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	default:
		return d.String()
	}
}

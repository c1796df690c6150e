package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// kind is a kind of decision.
type kind struct {
	name   string
	limits int
	cost   int64
	left   int   // hits in each log that have left the window
	max    int64 // of each limit
	share  time.Duration
}

func kinds() []kind {
	return []kind{
		{"1 limit, filling", 1, 1, 0, 1000, exact},
		{"1 limit, steady", 1, 1, 1, 1000, exact},
		{"2 limits, filling", 2, 1, 0, 1000, exact},
		{"2 limits, steady", 2, 1, 1, 1000, exact},
		{"cost 3, filling", 1, 3, 0, 1000, exact},
		{"cost 3, steady", 1, 3, 1, 1000, exact},
		{"refused", 1, 1, 0, hits, exact},
		{"Resolution, filling", 1, 1, 0, 1000, time.Minute},
		{"Resolution, steady", 1, 1, 1, 1000, time.Minute},
	}
}

const (
	hits     = 9 // in the window of each log
	window   = time.Hour
	exact    = time.Microsecond // no calls share an entry
	together = 27               // decisions in a command
	commands = 60               // of so many decisions
	lone     = 600
)

// counter counts what decisions by a script cost.
type counter struct {
	*server
	script, sha string
	set         int // of the logs that are in use
}

// countAll counts what decide.lua costs, and each verb of a Limiter.
func countAll(ctx context.Context) (rows []row, verbs []verbRow, err error) {
	s, err := startServer(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if rows, err = countDecisions(ctx, s); err != nil {
		return nil, nil, err
	}
	peer, err := countPeer(ctx, s)
	if err != nil {
		return nil, nil, fmt.Errorf("rueidislimiter: %w", err)
	}
	verbs, err = countVerbs(ctx, s)
	return append(rows, row{name: "rueidislimiter, a fixed window", lone: peer}), verbs, err
}

func countDecisions(ctx context.Context, s *server) (rows []row, err error) {
	script, err := os.ReadFile(scriptFile)
	if err != nil {
		return nil, err
	}
	c := &counter{server: s, script: string(script)}
	if c.sha, err = c.load(c.script); err != nil {
		return nil, err
	}
	one, err := c.load("return 1")
	if err != nil {
		return nil, err
	}
	floor, err := c.each(repeat(lone, []string{"EVALSHA", one, "1", "rl:{0:user0}:0-per-1h", "x"}), 1)
	if err != nil {
		return nil, err
	}
	rows = append(rows, row{name: "`return 1`", lone: floor})
	for _, k := range kinds() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r := row{name: k.name}
		if r.together, err = c.decisions(k, commands, together); err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		if r.lone, err = c.decisions(k, lone, 1); err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func repeat(n int, command []string) [][]string {
	commands := make([][]string, n)
	for i := range commands {
		commands[i] = command
	}
	return commands
}

// decisions counts those of so many commands, each of a key of its own.
func (c *counter) decisions(k kind, commands, together int) (float64, error) {
	c.set++
	if err := c.fill(k, commands*together); err != nil {
		return 0, err
	}
	asked := make([][]string, commands)
	for i := range asked {
		asked[i] = c.command(c.sha, k, i*together, together)
	}
	return c.each(asked, together)
}

// each returns the thousand instructions of a decision.
func (c *counter) each(commands [][]string, together int) (float64, error) {
	n, err := c.count(func() error {
		for _, command := range commands {
			if _, err := c.do(command...); err != nil {
				return err
			}
		}
		return nil
	})
	return n / 1000 / float64(len(commands)*together), err
}

func (c *counter) load(script string) (sha string, err error) {
	reply, err := c.do("SCRIPT", "LOAD", script)
	if err != nil {
		return "", err
	}
	return reply[0], nil
}

func (c *counter) key(call, limit int) string {
	return fmt.Sprintf("rl:{%d:user%d}:%d-per-1h", c.set, call, limit)
}

// command is an EVALSHA of calls that are alike, as decide.lua describes it.
func (c *counter) command(sha string, k kind, first, calls int) []string {
	command := []string{"EVALSHA", sha, strconv.Itoa(calls * k.limits)}
	for i := range calls {
		for limit := range k.limits {
			command = append(command, c.key(first+i, limit))
		}
	}
	run := number([]byte("t"), 0, 7)
	run = number(number(number(run, int64(calls), 4), 1, 4), int64(k.limits), 1)
	for range k.limits {
		run = number(number(number(number(run, k.max, 7), window.Microseconds(), 7), k.cost, 7), k.share.Microseconds(), 7)
	}
	return append(command, string(run))
}

func number(b []byte, n int64, bytes int) []byte {
	return append(b, binary.BigEndian.AppendUint64(nil, uint64(n))[8-bytes:]...) //nolint:gosec // it is not negative
}

// fill makes the logs of so many calls as they would be had they been in use for a while, by the
// script itself on clocks of the past.
func (c *counter) fill(k kind, calls int) error {
	now := time.Now()
	at := func(age time.Duration, n int) error {
		for i := range n {
			t := now.Add(-age).Add(time.Duration(i) * time.Second)
			clock := fmt.Sprintf("{'%d', '%06d'}", t.Unix(), t.Nanosecond()/1000)
			sha, err := c.load(strings.Replace(c.script, "redis.call('TIME')", clock, 1))
			if err != nil {
				return err
			}
			if _, err := c.do(c.command(sha, k, 0, 1)...); err != nil {
				return err
			}
		}
		return nil
	}
	// The first sets the time to live, the next is the one that leaves, the others set the time to
	// live again.
	err := errors.Join(at(window+40*time.Minute, k.left), at(window+2*time.Minute, k.left), at(5*time.Minute, hits))
	for limit := range k.limits {
		for i := 1; i < calls && err == nil; i++ {
			_, err = c.do("COPY", c.key(0, limit), c.key(i, limit))
		}
	}
	return err
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

// order is what a process that this program started of itself is to do. Such a process says that
// it is ready, and then answers each line of its input with a line of JSON, until there are no more.
type order struct {
	Task       task
	Contestant string
	Place      place
	Work       work
	Delay      time.Duration
	CPUProfile string // a file for a profile of what is measured, "" for none
}

type task string

const (
	taskLoad  task = "load"  // a line is a time; makes calls for so long; answers with a childReport
	taskApp   task = "app"   // serves HTTP; answers with the CPU time that it has used, in ns
	taskProxy task = "proxy" // is the way to a Redis that is far away
)

// childReport is a tally, with the latencies by bucket.
type childReport struct {
	Tally   tally
	Latency map[int]uint32
}

// job is an order that is ready.
type job struct {
	addr   string // where it listens, if it does
	answer func(line string) (any, error)
	end    func() error
}

// obey is what such a process does.
func obey(ctx context.Context, text string, in io.Reader, out io.Writer) (err error) {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return fmt.Errorf("-order: %w", err)
	}
	var j job
	switch o.Task {
	case taskLoad:
		j, err = o.load(ctx)
	case taskApp:
		j, err = o.app(ctx)
	case taskProxy:
		j, err = o.proxy(ctx)
	default:
		err = fmt.Errorf("no task is named %q", o.Task)
	}
	if err != nil {
		return fmt.Errorf("-order: %w", err)
	}
	defer func() { err = errors.Join(err, j.end()) }()
	if _, err := fmt.Fprintln(out, "ready", j.addr); err != nil {
		return err
	}
	answers := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		answer, err := j.answer(lines.Text())
		if err != nil {
			return err
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

func (o order) contestant() (contestant, error) {
	for _, c := range append(onRedis(), noLimiter()) {
		if c.name == o.Contestant {
			return c, nil
		}
	}
	return contestant{}, fmt.Errorf("no contestant is named %q", o.Contestant)
}

func (o order) load(ctx context.Context) (job, error) {
	c, err := o.contestant()
	if err != nil {
		return job{}, err
	}
	opened, _, err := prepare(ctx, o.Place, c, o.Work)
	if err != nil {
		return job{}, err
	}
	profile := o.CPUProfile
	answer := func(line string) (any, error) {
		while, err := time.ParseDuration(line)
		if err != nil {
			return nil, err
		}
		stop, err := startProfile(profile)
		if err != nil {
			return nil, err
		}
		profile = "" // of the first load only: it is the one that is measured
		t, err := o.Work.run(ctx, opened.ask, opened.keys, while)
		if err := errors.Join(err, stop()); err != nil {
			return nil, err
		}
		report := childReport{Tally: *t, Latency: map[int]uint32{}}
		for bucket, n := range t.latency {
			if n > 0 {
				report.Latency[bucket] = n
			}
		}
		return report, nil
	}
	return job{answer: answer, end: func() error { opened.end(); return nil }}, nil
}

// child is a process that obeys an order.
type child struct {
	name    string
	addr    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *json.Decoder
}

// startChild waits until the process is ready. procs is its GOMAXPROCS, 0 for as many as it has by
// itself. The caller must end it.
func startChild(o order, procs int) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	c := &child{name: string(o.Task) + " of " + o.Contestant, cmd: exec.Command(program, "-order", string(text))}
	c.cmd.Stderr = os.Stderr
	if procs > 0 {
		c.cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(procs))
	}
	subprocess.Tie(c.cmd)
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	addr, ready := strings.CutPrefix(strings.TrimSpace(first), "ready")
	if err != nil || !ready {
		return nil, errors.Join(fmt.Errorf("a process (%s) was not ready: %w", c.name, err), c.end())
	}
	c.addr, c.answers = strings.TrimSpace(addr), json.NewDecoder(lines)
	return c, nil
}

func (c *child) tell(line string) error {
	_, err := io.WriteString(c.in, line+"\n")
	return err
}

func (c *child) answer(to any) error {
	if err := c.answers.Decode(to); err != nil {
		return fmt.Errorf("a process (%s): %w", c.name, err)
	}
	return nil
}

func (c *child) ask(line string, to any) error {
	if err := c.tell(line); err != nil {
		return err
	}
	return c.answer(to)
}

func (c *child) end() error {
	_ = c.in.Close() // it waits for a line no longer
	return c.cmd.Wait()
}

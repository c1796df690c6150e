package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "instructions:", err)
		os.Exit(1)
	}
}

var old = flag.Bool("old", false, "")
var scriptFile = flag.String("script", "slidingwindow/decide.lua", "")
var only = flag.String("only", "", "")

// kind is a kind of decision.
type kind struct {
	name   string
	limits int
	cost   int
	gone   int // hits in each log that have left the window
	kept   int // hits that have not
	max    int
}

var kinds = []kind{
	{"1 limit, filling", 1, 1, 0, 9, 1000},
	{"1 limit, steady: a hit leaves as it comes", 1, 1, 1, 9, 1000},
	{"2 limits, filling", 2, 1, 0, 9, 1000},
	{"2 limits, steady", 2, 1, 1, 9, 1000},
	{"cost 3, filling", 1, 3, 0, 9, 1000},
	{"cost 3, steady", 1, 3, 1, 9, 1000},
	{"refused", 1, 1, 0, 9, 9},
}

const (
	window   = time.Hour
	commands = 60
)

func run(ctx context.Context) (err error) {
	flag.Parse()
	text, err := os.ReadFile(*scriptFile)
	if err != nil {
		return err
	}
	s, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	b := &bench{server: s, script: string(text)}
	counted := b.script
	if f := os.Getenv("COUNTED"); f != "" {
		x, _ := os.ReadFile(f)
		counted = string(x)
	}
	if b.sha, err = s.load(counted); err != nil {
		return err
	}
	one, err := s.load("return 1")
	if err != nil {
		return err
	}
	idle, err := s.count(func() error { time.Sleep(time.Second); return nil })
	if err != nil {
		return err
	}
	fmt.Printf("idle: %.0f\n", idle)
	n, err := s.count(func() error {
		for range 10 * commands {
			if _, err := s.do("EVALSHA", one, "1", "k", "1", "1", "1"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Printf("%-50s %6.1f\n", "return 1", n/10/commands/1000)
	for _, k := range kinds {
		if *only != "" && !strings.Contains(k.name, *only) {
			continue
		}
		for _, together := range []int{27, 1} {
			n, err := b.measure(k, together)
			if err != nil {
				return err
			}
			fmt.Printf("%-50s %3d %6.1f\n", k.name, together, n/1000)
		}
	}
	return nil
}

func (s *server) load(script string) (string, error) {
	reply, err := s.do("SCRIPT", "LOAD", script)
	if err != nil {
		return "", err
	}
	return reply[0], nil
}

type bench struct {
	server      *server
	script, sha string
	set         int
}

// measure returns the instructions of a decision.
func (b *bench) measure(k kind, together int) (float64, error) {
	b.set++
	commands := commands
	if together == 1 {
		commands *= 10
	}
	total := commands * together
	if err := b.prefill(k, total); err != nil {
		return 0, err
	}
	asked := make([][]string, commands)
	for i := range asked {
		asked[i] = b.command(b.sha, k, i*together, together)
	}
	n, err := b.server.count(func() error {
		for _, command := range asked {
			if _, err := b.server.do(command...); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		reply, errs := b.server.do(asked[0]...)
		fmt.Println(reply[:3*k.limits+1], errs)
	}
	return n / float64(total), err
}

func (b *bench) key(call, limit int) string {
	return fmt.Sprintf("rl:{%d:user%d}:%d-per-1h", b.set, call, limit)
}

func (b *bench) command(sha string, k kind, first, calls int) []string {
	command := []string{"EVALSHA", sha, strconv.Itoa(calls * k.limits)}
	for i := range calls {
		for l := range k.limits {
			command = append(command, b.key(first+i, l))
		}
	}
	if *old {
		command = append(command, "take", strconv.Itoa(calls), "1", strconv.Itoa(k.cost), strconv.Itoa(k.limits))
		for range k.limits {
			command = append(command, strconv.Itoa(k.max), strconv.FormatInt(window.Microseconds(), 10), strconv.FormatInt(2*window.Milliseconds(), 10))
		}
		return command
	}
	run := append(number([]byte("t"), 0, 7), number(nil, calls, 4)...)
	run = number(number(run, 1, 4), k.limits, 1)
	for range k.limits {
		run = number(number(number(run, k.max, 7), int(window.Microseconds()), 7), k.cost, 7)
	}
	return append(command, string(run))
}

func number(b []byte, n, bytes int) []byte {
	for shift := 8 * (bytes - 1); shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

// prefill makes the logs of so many calls as they would be had they been in use.
func (b *bench) prefill(k kind, calls int) error {
	now := time.Now()
	fill := func(at time.Time, hits int) error {
		for range hits {
			at = at.Add(time.Second)
			clock := fmt.Sprintf("{'%d', '%06d'}", at.Unix(), at.Nanosecond()/1000)
			sha, err := b.server.load(strings.Replace(b.script, "redis.call('TIME')", clock, 1))
			if err != nil {
				return err
			}
			if _, err := b.server.do(b.command(sha, k, 0, 1)...); err != nil {
				return err
			}
		}
		return nil
	}
	if err := errors.Join(fill(now.Add(-window-40*time.Minute), k.gone), fill(now.Add(-window-2*time.Minute), k.gone), fill(now.Add(-5*time.Minute), k.kept)); err != nil {
		return err
	}
	for l := range k.limits {
		for i := 1; i < calls; i++ {
			if _, err := b.server.do("COPY", b.key(0, l), b.key(i, l)); err != nil {
				return err
			}
		}
	}
	return nil
}

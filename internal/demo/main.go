// Command demo shows that the instances of a service share one quota. It finds a Redis or
// brings one up, runs two instances of examples/api on it as processes of their own,
// sends them requests in turn, prints what they answer, and checks it: the refusals must
// begin exactly at the limit, summed over both instances. With -serve it runs one
// instance until it is told to end. It leaves nothing running, however it ends.
//
// "make demo" and "make run" build it and call it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Exit codes. A shell gives 130 for a program that Ctrl-C ended.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// errLeftRunning means that something could not be ended.
var errLeftRunning = errors.New("something may be left running")

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	api := flags.String("api", "", "the built examples/api `program`")
	installer := flags.String("install", "", "the `script` that installs redis-server")
	serve := flags.Bool("serve", false, "run one instance until SIGINT or SIGTERM")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if *api == "" {
		fmt.Fprintln(os.Stderr, "demo: -api is missing; run it by make demo")
		return exitUsage
	}
	program, err := filepath.Abs(*api) // an instance runs in another folder
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// Before anything is brought up: what is wrong here is wrong with it, too.
	environ, file, show := []string{setRedisURL + os.Getenv("REDIS_URL")}, "", showcase
	if *serve {
		environ, file, show = os.Environ(), dotEnv, serveOne
	}
	cfg, err := load(environ, file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo: "+err.Error())
		return exitFailed
	}
	screen := newScreen(os.Stdout, os.Getenv)
	err = show(ctx, screen, program, cfg, ways(cfg.Redis, *installer))
	interrupted := ctx.Err() != nil
	switch {
	case *serve && err == nil:
		return 0
	case interrupted && !errors.Is(err, errLeftRunning):
		screen.print("\nInterrupted; nothing is left running.")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo: "+err.Error())
		return exitFailed
	}
	return 0
}

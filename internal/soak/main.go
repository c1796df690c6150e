// Command soak looks for what only time and trouble bring out. It runs a private Redis and
// several worker processes, each with a production set-up, that make random calls on a few
// hot keys and many others; meanwhile it stalls, kills and disturbs Redis and the workers.
// The workers stream what was admitted, and the checker looks for a window that certainly held
// more than its limit. All else must be as documented, too: which errors come, and when; what
// RetryAfter says; that no key, goroutine or memory is left.
//
// It exits with 1 if anything was not, and leaves nothing running, however it ends. The same
// -seed makes the same limits, calls and faults, although not at the same microsecond.
//
// "make soak" builds it and calls it.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Exit codes. A shell gives 130 for a program that Ctrl-C ended.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	if job := os.Getenv(workerEnv); job != "" {
		os.Exit(work(job))
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var s settings
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.DurationVar(&s.length, "for", 5*time.Minute, "how long to hold the load, 3s or more; the checks after it take some `time` more")
	flags.Uint64Var(&s.seed, "seed", 0, "the `number` that limits, calls and faults are made from; 0 draws one")
	flags.IntVar(&s.workers, "workers", 3, "how `many` worker processes, 1 or more")
	flags.BoolVar(&s.cluster, "cluster", false, "run a Redis Cluster of three nodes, not a single server")
	flags.BoolVar(&s.broken, "break", false, "give one worker twice the limits, to see that this is found")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if s.length < 3*time.Second || s.workers < 1 || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "soak: allowed: -for of 3s or more, -workers of 1 or more, no arguments")
		return exitUsage
	}
	if s.seed == 0 {
		s.seed = uint64(rand.Uint32()) + 1 // short enough to type
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	result, err := soak(ctx, s)
	switch {
	case ctx.Err() != nil:
		fmt.Println("\nInterrupted; nothing is left running.")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "soak:", err)
		return exitFailed
	}
	result.print(os.Stdout)
	if len(result.faultsFound()) > 0 {
		return exitFailed
	}
	return 0
}

// Command jobs works off a queue with several worker processes that share what a partner's API
// allows them: 50 calls in any 10 seconds, whichever process makes them.
//
//	make jobs
//
// runs it, with a redis-server of its own unless REDIS_URL names one, and ends by itself after
// 150 jobs. This process has the queue and the partner's API, which counts for itself and refuses
// what is too much; the workers are further processes of the same program (see work). Each waits with
// [slidingwindow.Limiter.Wait], so all workers stand in one line: first come, first served, nobody
// polls. SIGINT and SIGTERM end it: calls that are under way are finished, and who still waits gives
// its place in the line back.
//
// # A call arrives later than it was allowed
//
// The limiter allows a call at one moment, and the API counts it at a later one. Were all calls late by the
// same time, nothing would change. But one that is late by 300ms and one that is not are 300ms
// nearer to each other at the API, and its window of 10 seconds then holds what the limiter allowed in
// 10.3. So the Window of the limiter is longer than that of the API, by -margin; and no
// call is counted that arrives more than the margin after its turn: each tells the API its deadline, and one that is
// late goes back to the queue, where it waits for a new turn. With both, the API finds no call too
// much, however slow the machine is. The clocks of the workers and of the API may differ by as much as the
// margin is longer than calls take. An API that knows no deadline counts late calls, too: then let the
// margin be longer than any delay, and treat its 429 as what it is, a job for the queue.
//
// # Queues with delays of their own
//
// A worker of asynq or River need not wait with a job in its hands. It asks with Allow, and gives a
// refused job back until RetryAfter, which is exact: no guess, no backoff. With asynq:
//
//	if d, err := limiter.Allow(ctx, "partner"); err != nil {
//		return err // no decision: asynq's own backoff
//	} else if !d.Allowed {
//		return &notYet{d.RetryAfter}
//	}
//
//	asynq.Config{
//		// A refused job has not failed: it does not use up its retries.
//		IsFailure: func(err error) bool { return !errors.As(err, new(*notYet)) },
//		RetryDelayFunc: func(n int, err error, task *asynq.Task) time.Duration {
//			if later := (*notYet)(nil); errors.As(err, &later) {
//				return later.retryAfter + time.Second // asynq cuts the time to whole seconds
//			}
//			return asynq.DefaultRetryDelayFunc(n, err, task)
//		},
//	}
//
// asynq gives a task with MaxRetry(0) up all the same, so let it have one retry or more. With River, where a snoozed job has not failed either:
//
//	if !d.Allowed {
//		return river.JobSnooze(d.RetryAfter)
//	}
//
// Jobs that were refused together come back together, and one more than fits is refused again: it is
// correct, and costs a command each. requeue_example_test.go has both, compiled and run.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// settings are the flags, which the workers are given as well.
type settings struct {
	jobs, workers, lanes int
	max                  int
	window, margin       time.Duration
	worker               string // the URL of the queue, in a worker
}

// limit is what the workers share. Its window is longer than the API's.
func (s *settings) limit() slidingwindow.Limit {
	return slidingwindow.Limit{Name: "partner", Max: int64(s.max), Window: s.window + s.margin}
}

func main() {
	var s settings
	flag.IntVar(&s.jobs, "jobs", 150, "how `many` jobs are in the queue")
	flag.IntVar(&s.workers, "workers", 8, "how `many` worker processes there are")
	flag.IntVar(&s.lanes, "lanes", 4, "how `many` jobs a worker has in hand at a time")
	flag.IntVar(&s.max, "max", 50, "how `many` calls the API allows")
	flag.DurationVar(&s.window, "window", 10*time.Second, "in any `time` of this length")
	flag.DurationVar(&s.margin, "margin", 500*time.Millisecond, "`time` that a call may take to the API, and by which the limiter's window is longer")
	flag.StringVar(&s.worker, "worker", "", "be a worker of the queue at this `URL`; the program starts them itself")
	flag.Parse()
	if min(s.jobs, s.workers, s.lanes, s.max) < 1 || min(s.window, s.margin) < time.Millisecond || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "jobs: allowed: numbers of 1 or more, times of 1ms or more, and no arguments")
		os.Exit(2)
	}

	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if s.worker != "" {
		signal.Ignore(os.Interrupt) // Ctrl-C reaches all processes of a terminal; the first tells the workers
		signals = signals[1:]
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	slog.SetLogLoggerLevel(slog.LevelWarn)
	context.AfterFunc(ctx, stop) // a second signal does what it does to any program
	var err error
	if s.worker != "" {
		err = work(ctx, &s)
	} else {
		err = run(ctx, &s)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "jobs:", err)
		os.Exit(1)
	}
}

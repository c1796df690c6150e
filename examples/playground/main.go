// Command playground is a page to try a limit on: choose Max, Window and cost, send requests, and
// watch each of them on a time line, beside a fixed window that gets the same requests.
//
//	make play
//	REDIS_URL=redis://127.0.0.1:6379 make play
//
// Without REDIS_URL the log is in this process. On a real Redis two instances stand side by
// side, each with connections of its own, and share one quota.
//
// It listens on 127.0.0.1 only, on PORT (3001), and bounds what it takes: requests a second,
// open streams of events, and the size of a body. SIGINT and SIGTERM end it once the requests
// it has are answered; a second one ends it at once.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does what it does to any program
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := run(ctx, os.Environ(), logger, nil)
	stop()
	if err != nil {
		logger.Error("playground failed", "error", err)
		os.Exit(1)
	}
}

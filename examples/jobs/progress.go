package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// show tells how far the jobs are until ctx ends: by a bar on a terminal, elsewhere in a line every
// two seconds.
func show(ctx context.Context, out *os.File, jobs int, done func() int) {
	every, tell := 2*time.Second, func(n int) { _, _ = fmt.Fprintf(out, "%d of %d jobs done\n", n, jobs) }
	if term.IsTerminal(int(out.Fd())) {
		bar := progressbar.NewOptions(jobs, progressbar.OptionSetWriter(out), progressbar.OptionShowCount(),
			progressbar.OptionSetDescription("jobs"), progressbar.OptionSetPredictTime(false), progressbar.OptionClearOnFinish())
		defer func() { _ = bar.Finish() }()
		every, tell = 100*time.Millisecond, func(n int) { _ = bar.Set(n) }
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			tell(done())
		case <-ctx.Done():
			return
		}
	}
}

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// show tells how far the import is until it has ended: by a bar on a terminal, elsewhere by a line now
// and then.
func show(out *os.File, service *service, rows int64, ended <-chan struct{}) {
	every, tell := time.Second, func(taken int64) { fmt.Fprintf(out, "%d of %d rows\n", taken, rows) }
	if term.IsTerminal(int(out.Fd())) { //nolint:gosec // a file descriptor is small
		bar := progressbar.NewOptions64(rows, progressbar.OptionSetWriter(out), progressbar.OptionSetDescription("importing"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"), progressbar.OptionFullWidth())
		defer fmt.Fprintln(out)
		every, tell = 100*time.Millisecond, func(taken int64) { _ = bar.Set64(taken) }
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			taken, _ := service.counts()
			tell(taken)
		case <-ended:
			taken, _ := service.counts()
			tell(taken)
			return
		}
	}
}

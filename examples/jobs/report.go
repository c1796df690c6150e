package main

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// report is what came of a run.
type report struct {
	*settings
	results
	asks     []ask
	commands int
	shared   bool // others may have used Redis, too
}

func (r *report) print(w io.Writer) {
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(w, "  %-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	limit := r.limit()
	line("API", "%d calls; %d violations of %d in any %v; %d too late, the nearest to its deadline had %v left",
		r.calls, r.tooMany, r.max, r.window, r.tooLate, r.left.Round(time.Millisecond))
	line("granted", "%d units; %d windows of %v with more than %d", len(r.asks), windowsOver(r.asks, r.max, limit.Window), limit.Window, r.max)
	if used, windows := quotaUsed(r.asks, r.max, limit.Window); windows > 0 {
		line("used", "%.1f%% of the quota, in the first %d windows", 100*used, windows)
	}
	pairs, overtook := overtaken(r.asks)
	line("order", "%d pairs of jobs of which one was in line before the other was given out; %d overtaken", pairs, overtook)
	others := ""
	if r.shared {
		others = ", with those of other programs"
	}
	line("Redis", "%d commands, %.2f for each unit%s", r.commands, float64(r.commands)/float64(max(1, len(r.asks))), others)
}

// fault is what must not be.
func (r *report) fault(interrupted bool) error {
	var errs []error
	if r.tooMany > 0 {
		errs = append(errs, fmt.Errorf("the API got %d calls too many", r.tooMany))
	}
	if over := windowsOver(r.asks, r.max, r.limit().Window); over > 0 {
		errs = append(errs, fmt.Errorf("%d windows hold more than the limit", over))
	}
	if _, overtook := overtaken(r.asks); overtook > 0 {
		errs = append(errs, fmt.Errorf("%d jobs overtook others", overtook))
	}
	if !interrupted && r.calls != r.jobs {
		errs = append(errs, fmt.Errorf("%d of %d jobs were done", r.calls, r.jobs))
	}
	return errors.Join(errs...)
}

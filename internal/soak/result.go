package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// result is what a soak found.
type result struct {
	settings
	limiters [][]slidingwindow.Limit
	journal  *journal
	keys     int // in Redis when the load had ended
	keysLeft int // two windows later
}

// faultsFound says what is wrong; nothing if the soak passed.
func (r *result) faultsFound() []string {
	j, c := r.journal, r.journal.checker
	var found []string
	for _, v := range c.first {
		found = append(found, "OVER THE LIMIT: "+v.String())
	}
	for _, text := range j.order {
		found = append(found, fmt.Sprintf("%s (%d times)", text, j.problems[text]))
	}
	// That nothing was found must mean something.
	for _, seen := range []struct {
		n    int64
		none string
	}{
		{c.full, "no window was seen to be full"},
		{j.counts[countRefused], "no call was refused"},
		{j.counts[countCached], "no refusal was answered without Redis"},
		{j.counts[countHonoured], "no RetryAfter was waited out"},
		{int64(r.keys), "no key was in Redis when the load ended"},
	} {
		if seen.n == 0 {
			found = append(found, seen.none)
		}
	}
	return found
}

// print writes the summary.
func (r *result) print(w io.Writer) {
	j, c := r.journal, r.journal.checker
	n := j.counts
	line := func(name, format string, values ...any) {
		_, _ = fmt.Fprintf(w, "  %-15s %s\n", name, fmt.Sprintf(format, values...))
	}
	_, _ = fmt.Fprintln(w)
	line("load held", "%d calls in %v, %.0f a second, from %d processes", n[countCalls], r.length, float64(n[countCalls])/r.length.Seconds(), r.workers)
	line("decided", "%d allowed (%d units), %d refused, %d of these without Redis", n[countAllowed], c.admitted, n[countRefused], n[countCached])
	line("besides", "%d peeks, %d refunds, %d resets", n[countPeeks], n[countRefunds], n[countResets])
	_, faults, _ := j.progress()
	line("faults", "%d injected", faults)
	for _, name := range slices.Sorted(maps.Keys(j.faults)) {
		line("", "%4d  %s", j.faults[name], name)
	}
	line("errors", "%d", sumOfErrors(n))
	for _, name := range slices.Sorted(maps.Keys(n)) {
		if text, ok := strings.CutPrefix(name, errorPrefix); ok {
			line("", "%4d  %s", n[name], text)
		}
	}
	line("windows checked", "%d, of which %d were seen to be full", c.windows, c.full)
	line("violations", "%d", c.violations)
	line("RetryAfter", "%d waited out, and then allowed", n[countHonoured])
	line("keys in Redis", "%d at the end of the load, %d two windows later", r.keys, r.keysLeft)
	line("heap", "%d MiB at most, %.1f MiB with everything closed", j.peakHeap>>20, float64(j.lastHeap)/(1<<20))

	found := r.faultsFound()
	if len(found) == 0 {
		_, _ = fmt.Fprintln(w, "\nNothing was wrong.")
		return
	}
	_, _ = fmt.Fprintf(w, "\nWRONG, with seed %d:\n", r.seed)
	for _, text := range found {
		_, _ = fmt.Fprintln(w, "- "+text)
	}
}

func sumOfErrors(counts map[string]int64) (sum int64) {
	for name, n := range counts {
		if strings.HasPrefix(name, errorPrefix) {
			sum += n
		}
	}
	return sum
}

//go:build unix

package faults_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// A row is what the callers saw of a fault.
type row struct {
	Fault    string
	Requests int // that began during the fault
	Admitted int // of those, before its end
	Errors   map[string]int
	Untyped  map[string]int // errors, by their text, that no caller is told to expect
	Worst    time.Duration  // the longest call of all, before, during and after the fault
	Over     int64          // units beyond Max in the worst window

	Recovered    bool          // a decision by Redis after the end of the fault
	FirstSuccess time.Duration // from the end of the fault to that
	AllSucceed   time.Duration // from the end of the fault until the last error was told
}

// row reads the records. Errors before the fault and after its end count as its own.
func (load *traffic) row(fault string, injected, lifting, lifted time.Time) row {
	r := row{Fault: fault, Errors: map[string]int{}, Untyped: map[string]int{}}
	first := time.Time{}
	load.each(func(call *record) {
		r.Worst = max(r.Worst, call.took())
		if !call.start.Before(injected) && call.start.Before(lifting) {
			r.Requests++
			if call.key != "" && call.end.Before(lifting) {
				r.Admitted++
			}
		}
		if call.err != nil {
			name, typed := typeOf(call.err)
			r.Errors[name]++
			if !typed {
				r.Untyped[call.err.Error()]++
			}
			r.AllSucceed = max(r.AllSucceed, call.end.Sub(lifted))
			return
		}
		if call.start.After(lifted) && !call.cached && (first.IsZero() || call.end.Before(first)) {
			first = call.end
		}
	})
	if r.Recovered = !first.IsZero(); r.Recovered {
		r.FirstSuccess = first.Sub(lifted)
	}
	return r
}

// typeOf names an error by what a caller can ask errors.Is.
func typeOf(err error) (name string, typed bool) {
	switch {
	case errors.Is(err, slidingwindow.ErrStoreUnavailable):
		return "unavailable: " + cause(err), true
	case errors.Is(err, slidingwindow.ErrForeignData):
		return "foreign data", false
	}
	return "other", false
}

// cause is what made the store unavailable, in a word or two.
func cause(err error) string {
	text := err.Error()
	for _, known := range []struct{ part, name string }{
		{"no answer from redis within", "timeout"},
		{"connection refused", "refused"},
		{"connection reset", "reset"},
		{"broken pipe", "reset"},
		{"EOF", "closed"},
		{"use of closed", "closed"},
		{"max number of clients", "maxclients"},
		{"i/o timeout", "timeout"},
	} {
		if strings.Contains(text, known.part) {
			return known.name
		}
	}
	// A reply of Redis begins with its code.
	for _, word := range strings.Fields(text) {
		word = strings.TrimSuffix(word, ":")
		if len(word) > 2 && word == strings.ToUpper(word) {
			return word
		}
	}
	return "other"
}

func (r row) String() string { return strings.Join(r.cells(), " | ") }

var columns = []string{"fault", "requests", "admitted", "errors", "worst decision", "over-admitted", "first success", "all succeed"}

func (r row) cells() []string {
	var errs []string
	for _, name := range slices.Sorted(maps.Keys(r.Errors)) {
		errs = append(errs, fmt.Sprint(strings.TrimPrefix(name, "unavailable: "), " ", r.Errors[name]))
	}
	first := "never"
	if r.Recovered {
		first = milliseconds(r.FirstSuccess)
	}
	return []string{
		r.Fault, fmt.Sprint(r.Requests), fmt.Sprint(r.Admitted), cmp.Or(strings.Join(errs, ", "), "none"),
		milliseconds(r.Worst), fmt.Sprint(r.Over), first, milliseconds(r.AllSucceed),
	}
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds(), " ms") }

// rows are those of all tests of this package, in the order of their running.
type rows struct {
	mu   sync.Mutex
	rows []row
}

var table rows

func (t *rows) add(r row) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, r)
}

// print writes the table in columns.
func (t *rows) print(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	columnsOf := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cells := range t.lines() {
		_, _ = fmt.Fprintln(columnsOf, strings.Join(cells, "\t"))
	}
	return columnsOf.Flush()
}

// markdown writes the table as docs/failures.md has it.
func (t *rows) markdown(w io.Writer) error {
	var text strings.Builder
	for i, cells := range t.lines() {
		fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(&text, "|%s\n", strings.Repeat(" --- |", len(cells)))
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func (t *rows) lines() [][]string {
	lines := [][]string{columns}
	for _, r := range t.rows {
		lines = append(lines, r.cells())
	}
	return lines
}

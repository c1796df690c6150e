package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const (
	scriptFile  = "slidingwindow/decide.lua"
	resultsFile = "internal/instructions/results.md"

	mostGrowth = 1.05
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	check := flag.Bool("check", false, "fail if a row grew by more than 5%, instead of writing the table")
	flag.Parse()
	if err := run(ctx, *check); err != nil {
		fmt.Fprintln(os.Stderr, "instructions:", err)
		os.Exit(1)
	}
}

// row is a line of the table: thousands of instructions a decision.
type row struct {
	name           string
	together, lone float64 // together is 0 where there is no such figure
}

func (r row) String() string {
	together := "-"
	if r.together > 0 {
		together = fmt.Sprintf("%.1f", r.together)
	}
	return fmt.Sprintf("| %s | %s | %.1f |", r.name, together, r.lone)
}

// verbRow is a line of the second table.
type verbRow struct {
	name         string
	sent, inside float64 // commands that Redis is sent, and that the script calls
	instructions float64 // thousands
}

func (r verbRow) String() string {
	return fmt.Sprintf("| %s | %.0f + %.0f | %.1f |", r.name, r.sent, r.inside, r.instructions)
}

func run(ctx context.Context, check bool) error {
	rows, verbs, err := countAll(ctx)
	if err != nil {
		return err
	}
	var table strings.Builder
	fmt.Fprintf(&table, "Thousand instructions of redis-server a decision; made by `make instructions`.\n\n")
	fmt.Fprintf(&table, "| decision | %d together | lone |\n|---|---:|---:|\n", together)
	for _, r := range rows {
		fmt.Fprintln(&table, r)
	}
	fmt.Fprintf(&table, "\nA lone call of each verb, with its Redis commands: those that are sent, and those that the script calls.\n\n")
	fmt.Fprintf(&table, "| verb | commands | instructions |\n|---|---:|---:|\n")
	for _, r := range verbs {
		fmt.Fprintln(&table, r)
		rows = append(rows, row{name: r.name, together: r.sent, lone: r.instructions})
	}
	fmt.Print(table.String())
	if !check {
		return os.WriteFile(resultsFile, []byte(table.String()), 0o644) //nolint:gosec // for everybody to read
	}
	committed, err := os.ReadFile(resultsFile)
	if err != nil {
		return err
	}
	return compare(rows, string(committed))
}

// compare returns an error that names every row that grew too much over the committed table.
func compare(rows []row, committed string) error {
	was := map[string]row{}
	for line := range strings.Lines(committed) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 3 {
			continue
		}
		r := row{name: strings.TrimPrefix(cells[0], "| ")}
		_, _ = fmt.Sscan(cells[1], &r.together) // "-" leaves 0
		if _, err := fmt.Sscan(strings.TrimSuffix(cells[2], " |"), &r.lone); err == nil {
			was[r.name] = r
		}
	}
	var errs []error
	for _, r := range rows {
		old, known := was[r.name]
		if !known {
			errs = append(errs, fmt.Errorf("%s: not in %s; run make instructions and commit it", r.name, resultsFile))
		} else if r.together > old.together*mostGrowth || r.lone > old.lone*mostGrowth {
			errs = append(errs, fmt.Errorf("%s: %.1f together and %.1f lone; in %s it is %.1f and %.1f, and 5%% more is allowed",
				r.name, r.together, r.lone, resultsFile, old.together, old.lone))
		}
	}
	return errors.Join(errs...)
}

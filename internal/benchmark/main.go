package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "benchmark:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	server      *server
	nodes       *server // of the Cluster, once it is needed
	report      *report
	rounds      int
	cell        time.Duration // of one measurement
	short, long bool
	rows        []string // empty: all
	cpuProfile  string   // a file, or ""
	chosen      []part
	atEnd       []func() error

	results map[string][]result // of scenarios, by file
	memory  map[memoryCase]float64
}

// part is what -only chooses from: scenarios and what is plotted of them, or something else.
type part struct {
	name      string
	scenarios func(*bench) []scenario
	plot      func(*bench) error
	run       func(*bench, context.Context) error
}

func parts() []part {
	return []part{
		{name: "calls", scenarios: simplest, plot: (*bench).plotSimplest},
		{name: "leases", scenarios: withLeases},
		{name: "steady", scenarios: ofKinds("steady"), plot: plotKinds("steady")},
		{name: "limits", scenarios: ofKinds("limits"), plot: plotKinds("limits")},
		{name: "costs", scenarios: ofKinds("costs"), plot: plotKinds("costs")},
		{name: "oneprocessor", scenarios: oneProcessor},
		{name: "cluster", scenarios: onCluster},
		{name: "distance", scenarios: atDistance},
		{name: "echo", scenarios: inApps},
		{name: "growth", run: (*bench).measureGrowth},
		{name: "processes", run: (*bench).measureProcesses},
		{name: "memory", run: (*bench).measureMemory},
		{name: "stores", run: (*bench).measureStores},
		{name: "accuracy", run: (*bench).simulate},
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) (err error) {
	flags := flag.NewFlagSet("benchmark", flag.ContinueOnError)
	b := &bench{results: map[string][]result{}, memory: map[memoryCase]float64{}}
	flags.BoolVar(&b.short, "short", false, "one short round of everything, to see that it works")
	flags.BoolVar(&b.long, "long", false, "more and longer rounds, all limiters in all rows, and a million keys")
	flags.IntVar(&b.rounds, "rounds", 0, "`rounds` of each measurement; 0 stands for 5, 1 with -short, 15 with -long")
	flags.DurationVar(&b.cell, "cell", 0, "how `long` a measurement takes; 0 stands for 200ms, 50ms with -short, 500ms with -long, 5s with -cpuprofile")
	folder := flags.String("out", "results", "`folder` for the results; \"\" to print only")
	only := flags.String("only", "", "`parts` to run, with commas between: "+partNames())
	row := flags.String("row", "", "`rows` to run, with commas between, named as their files: steady-c64,echo-c4")
	flags.StringVar(&b.cpuProfile, "cpuprofile", "", "a `file` for what uses the processor in our store alone, in the one row that -row names; writes no results")
	order := flags.String("order", "", "not for people: what a process that this program starts is to do")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *order != "" {
		return obey(ctx, *order, in, out)
	}
	if flags.NArg() > 0 || b.short && b.long || b.rounds < 0 || b.cell < 0 {
		return errors.New("allowed: no arguments; -short or -long; -rounds and -cell of 0 or more")
	}
	if b.chosen, err = choose(*only); err != nil {
		return err
	}
	if *row != "" {
		b.rows = strings.Split(*row, ",")
		if b.chosen, err = b.withRows(b.chosen); err != nil {
			return err
		}
	}
	if b.cpuProfile != "" {
		if len(b.rows) != 1 {
			return errors.New("-cpuprofile is of one row: name it with -row")
		}
		b.rounds, *folder = 1, ""
	}
	b.setDefaults()
	return b.measureAll(ctx, out, *folder, command(flags))
}

// measureAll runs the parts that were chosen on servers of their own.
func (b *bench) measureAll(ctx context.Context, out io.Writer, folder, command string) (err error) {
	if b.server, err = startServer(ctx); err != nil {
		return err
	}
	b.atEnd = append(b.atEnd, b.server.stop)
	defer func() {
		for _, end := range slices.Backward(b.atEnd) {
			err = errors.Join(err, end())
		}
	}()
	where := append(b.server.where(ctx), fmt.Sprintf("medians of %d rounds of %v each (calls, leases, oneprocessor, stores), of %d (steady, limits, costs, cluster, echo, and distance of %v each), of %d (growth, processes)",
		b.rounds, b.cell, b.someRounds(), distantCell*b.cell, b.fewerRounds()))
	if b.report, err = newReport(out, folder, where, command); err != nil {
		return err
	}
	for _, p := range b.chosen {
		began := time.Now()
		if err := b.runPart(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		b.report.took(p.name, time.Since(began))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if b.cpuProfile == "" {
		if err := b.report.table(b.targetTable()); err != nil {
			return err
		}
	}
	return b.report.finish()
}

func (b *bench) runPart(ctx context.Context, p part) error {
	if p.run != nil {
		return p.run(b, ctx)
	}
	if err := b.runScenarios(ctx, p.scenarios(b)); err != nil || p.plot == nil {
		return err
	}
	return p.plot(b)
}

func (b *bench) setDefaults() {
	rounds, cell := 5, 200*time.Millisecond
	switch {
	case b.short:
		rounds, cell = 1, 50*time.Millisecond
	case b.long:
		rounds, cell = 15, 500*time.Millisecond
	}
	if b.cpuProfile != "" {
		cell = 5 * time.Second
	}
	if b.rounds == 0 {
		b.rounds = rounds
	}
	if b.cell == 0 {
		b.cell = cell
	}
}

func partNames() string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// choose gives the parts with these names, all if there are none, in their usual order.
func choose(only string) ([]part, error) {
	if only == "" {
		return parts(), nil
	}
	names := strings.Split(only, ",")
	var chosen []part
	for _, p := range parts() {
		if i := slices.Index(names, p.name); i >= 0 {
			chosen, names = append(chosen, p), slices.Delete(names, i, i+1)
		}
	}
	if len(names) > 0 {
		return nil, fmt.Errorf("-only has %q; allowed: %s", names, partNames())
	}
	return chosen, nil
}

// withRows are those of some parts that have the rows that were chosen.
func (b *bench) withRows(all []part) ([]part, error) {
	var chosen []part
	var names []string
	for _, p := range all {
		if p.scenarios == nil {
			continue
		}
		has := false
		for _, s := range p.scenarios(b) {
			names = append(names, s.file)
			has = has || slices.Contains(b.rows, s.file)
		}
		if has {
			chosen = append(chosen, p)
		}
	}
	for _, row := range b.rows {
		if !slices.Contains(names, row) {
			return nil, fmt.Errorf("-row has %q; allowed: %s", row, strings.Join(names, ", "))
		}
	}
	return chosen, nil
}

// command is how to run this again, as far as it decides what is measured.
func command(flags *flag.FlagSet) string {
	var given []string
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "out" {
			given = append(given, "-"+f.Name+"="+f.Value.String())
		}
	})
	if len(given) == 0 {
		return "make bench"
	}
	return "make bench BENCHFLAGS='" + strings.Join(given, " ") + "'"
}

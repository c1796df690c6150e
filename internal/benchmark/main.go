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
	report      *report
	rounds      int
	cell        time.Duration // of one measurement
	short, long bool
}

// part is what -only chooses from.
type part struct {
	name string
	run  func(*bench, context.Context) error
}

func parts() []part {
	return []part{
		{"calls", (*bench).compareCalls},
		{"growth", (*bench).measureGrowth},
		{"processes", (*bench).measureProcesses},
		{"memory", (*bench).measureMemory},
		{"stores", (*bench).measureStores},
		{"accuracy", (*bench).simulate},
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) (err error) {
	flags := flag.NewFlagSet("benchmark", flag.ContinueOnError)
	b := &bench{}
	flags.BoolVar(&b.short, "short", false, "one short round of everything, to see that it works")
	flags.BoolVar(&b.long, "long", false, "more and longer rounds, and a million keys")
	flags.IntVar(&b.rounds, "rounds", 0, "`rounds` of each measurement; 0 stands for 7, 1 with -short, 15 with -long")
	flags.DurationVar(&b.cell, "cell", 0, "how `long` a measurement takes; 0 stands for 200ms, 50ms with -short, 500ms with -long")
	folder := flags.String("out", "results", "`folder` for the results; \"\" to print only")
	only := flags.String("only", "", "`parts` to run, with commas between: "+partNames())
	order := flags.String("order", "", "not for people: what a process that this program starts is to do")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *order != "" {
		return obey(ctx, *order, in, out)
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if flags.NArg() > 0 || b.short && b.long || b.rounds < 0 || b.cell < 0 {
		return errors.New("allowed: no arguments; -short or -long; -rounds and -cell of 0 or more")
	}
	b.setDefaults()

	if b.server, err = startServer(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.server.stop()) }()
	where := append(b.server.where(ctx), fmt.Sprintf("medians of %d rounds of %v each (growth and processes: %d rounds)", b.rounds, b.cell, b.growthRounds()))
	if b.report, err = newReport(out, *folder, where, command(flags)); err != nil {
		return err
	}
	for _, p := range chosen {
		if err := p.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return b.report.finish()
}

func (b *bench) setDefaults() {
	rounds, cell := 7, 200*time.Millisecond
	switch {
	case b.short:
		rounds, cell = 1, 50*time.Millisecond
	case b.long:
		rounds, cell = 15, 500*time.Millisecond
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

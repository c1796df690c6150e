// Command pictures draws the pictures of README and docs into docs/pictures, each once for
// light and once for dark pages. What they show was measured: the edge burst and the outage by
// this program (edge.csv and outage.csv, written with -measure), throughput by "make bench".
//
//	make pictures            draws what was measured before
//	make pictures MEASURE=1  measures the edge burst and the outage anew, on a private Redis
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Folders, from that of the repository.
const (
	dataDir    = "internal/pictures"
	resultsDir = "internal/benchmark/results"
	outDir     = "docs/pictures"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	measure := flag.Bool("measure", false, "measure the edge burst and the outage anew; takes half a minute")
	flag.Parse()
	if err := run(ctx, *measure); err != nil {
		fmt.Fprintln(os.Stderr, "pictures:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, measure bool) error {
	if measure {
		slog.SetDefault(slog.New(slog.DiscardHandler)) // the outage is meant
		for name, rows := range map[string]func(context.Context) ([][]string, error){
			"edge.csv": measureEdge, "outage.csv": measureOutage,
		} {
			measured, err := rows(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if err := writeTable(filepath.Join(dataDir, name), measured); err != nil {
				return err
			}
		}
	}
	pictures, err := drawAll(".")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(outDir, 0o755); err != nil { //nolint:gosec // for everybody to read
		return err
	}
	for name, svg := range pictures {
		if err := os.WriteFile(filepath.Join(outDir, name), []byte(svg), 0o644); err != nil { //nolint:gosec // for everybody to read
			return err
		}
	}
	return nil
}

// drawAll draws every picture from the data of the repository at root, by the names of their files.
func drawAll(root string) (map[string]string, error) {
	edge, err := readEdge(filepath.Join(root, dataDir, "edge.csv"))
	if err != nil {
		return nil, err
	}
	throughput, err := readThroughput(filepath.Join(root, resultsDir))
	if err != nil {
		return nil, err
	}
	outage, err := readOutage(filepath.Join(root, dataDir, "outage.csv"))
	if err != nil {
		return nil, err
	}
	pictures := map[string]string{}
	for _, theme := range []theme{light, dark} {
		for name, svg := range map[string]string{
			"edge":       drawEdge(theme, edge),
			"throughput": drawThroughput(theme, throughput),
			"outage":     drawOutage(theme, outage),
			"decision":   drawDecision(theme),
		} {
			pictures[name+"-"+theme.name+".svg"] = svg
		}
	}
	return pictures, nil
}

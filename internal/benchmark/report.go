package main

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	plotWidth   = 8 * vg.Inch
	plotHeight  = 4.5 * vg.Inch
	legendWidth = 2.6 * vg.Inch
	captionSize = 7
	summaryFile = "README.md"
)

// report writes the results as they come: all tables to the terminal and into one document,
// each into a CSV, the plots as SVG. Every file names the machine.
type report struct {
	out     io.Writer
	folder  string // "" to write no file
	where   []string
	summary bytes.Buffer
	plots   []string
	times   []string // that parts took
}

func newReport(out io.Writer, folder string, where []string, command string) (*report, error) {
	r := &report{out: out, folder: folder, where: where}
	if folder != "" {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	r.print(func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "# Benchmark\n\nWritten by `%s`; only relations within one run mean something.\n\n", command)
		for _, line := range where {
			_, _ = fmt.Fprintln(w, "- "+line)
		}
		_, _ = fmt.Fprintf(w, "\n%s\n\n", resultNote)
		for _, c := range slices.Concat(onRedis(), inMemory()) {
			if c.settings != "" {
				_, _ = fmt.Fprintf(w, "- %s: %s\n", c.name, c.settings)
			}
		}
	})
	return r, nil
}

// print writes to the terminal and to the document.
func (r *report) print(write func(io.Writer)) { write(io.MultiWriter(r.out, &r.summary)) }

func (r *report) table(t *table) error {
	r.print(t.markdown)
	if r.folder == "" {
		return nil
	}
	return r.file(t.file+".csv", func(w io.Writer) error { return t.csv(w, r.where) })
}

// plot saves a plot, with room for its legend at the right and the machine below.
func (r *report) plot(name string, make plotted) error {
	if r.folder == "" {
		return nil
	}
	r.plots = append(r.plots, name)
	p, err := make()
	if err != nil {
		return fmt.Errorf("plot %s: %w", name, err)
	}
	canvas := vgsvg.New(plotWidth, plotHeight)
	area := draw.New(canvas)
	area.SetColor(color.White)
	area.Fill(area.Path())
	p.Draw(draw.Crop(area, 0, -legendWidth, 3.5*captionSize, 0))
	style := p.X.Tick.Label
	style.Font.Size, style.XAlign = captionSize, text.XLeft
	for i, line := range r.where[:min(2, len(r.where))] {
		area.FillText(style, vg.Point{X: captionSize, Y: captionSize * (2.2 - 1.3*vg.Length(i))}, line)
	}
	return r.file(name+".svg", func(w io.Writer) error { return r.svg(w, canvas) })
}

// svg writes a canvas with all that is known of the machine in its description.
func (r *report) svg(w io.Writer, canvas io.WriterTo) error {
	var image bytes.Buffer
	if _, err := canvas.WriteTo(&image); err != nil {
		return err
	}
	const end = "</svg>"
	body, _, _ := strings.Cut(image.String(), end)
	if _, err := io.WriteString(w, body+"<desc>"); err != nil {
		return err
	}
	if err := xml.EscapeText(w, []byte(strings.Join(r.where, "; "))); err != nil {
		return err
	}
	_, err := io.WriteString(w, "</desc>\n"+end+"\n")
	return err
}

func (r *report) file(name string, write func(io.Writer) error) error {
	f, err := os.Create(filepath.Join(r.folder, name))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	if err := write(w); err != nil {
		_ = f.Close()
		return err
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// took notes how long a part took.
func (r *report) took(part string, d time.Duration) {
	r.times = append(r.times, fmt.Sprintf("%s %v", part, d.Round(time.Second)))
}

// finish writes the document: the tables, then the plots.
func (r *report) finish() error {
	r.print(func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "\nLoad average at the end: %s. Time taken: %s.\n", loadAverage(), strings.Join(r.times, ", "))
	})
	if r.folder == "" {
		return nil
	}
	r.summary.WriteString("\n## Plots\n")
	for _, name := range r.plots {
		fmt.Fprintf(&r.summary, "\n![%s](%s.svg)\n", name, name)
	}
	return r.file(summaryFile, func(w io.Writer) error {
		_, err := r.summary.WriteTo(w)
		return err
	})
}

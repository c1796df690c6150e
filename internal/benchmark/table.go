package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// table is what the results are told in: Markdown for people, CSV for programs.
type table struct {
	file   string // of the CSV, without its end
	title  string
	note   string
	header []string
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// markdown writes the table with columns that are aligned also where it is not rendered.
func (t *table) markdown(w io.Writer) {
	widths := make([]int, len(t.header))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(cells []string) {
		for i, cell := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				_, _ = fmt.Fprintf(w, "| %s%s |", cell, pad)
			} else {
				_, _ = fmt.Fprintf(w, " %s%s |", pad, cell)
			}
		}
		_, _ = fmt.Fprintln(w)
	}
	_, _ = fmt.Fprintf(w, "\n## %s\n\n", t.title)
	if t.note != "" {
		_, _ = fmt.Fprintf(w, "%s\n\n", t.note)
	}
	line(t.header)
	rule := make([]string, len(t.header))
	for i := range rule {
		rule[i] = strings.Repeat("-", widths[i])
		if i > 0 {
			rule[i] = rule[i][:widths[i]-1] + ":"
		}
	}
	line(rule)
	for _, row := range t.rows {
		line(row)
	}
}

// csv writes the table after lines that begin with # and tell where it was measured.
func (t *table) csv(w io.Writer, where []string) error {
	for _, line := range append([]string{t.title}, where...) {
		if _, err := fmt.Fprintln(w, "# "+line); err != nil {
			return err
		}
	}
	c := csv.NewWriter(w)
	if err := c.Write(t.header); err != nil {
		return err
	}
	return c.WriteAll(t.rows)
}

func count(n float64) string {
	if math.IsInf(n, 1) {
		return "all"
	}
	return strconv.FormatFloat(n, 'f', 0, 64)
}

// thousands writes a number with commas, as titles have it.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func ratio(a, b float64) string {
	if b == 0 || math.IsNaN(a/b) || math.IsInf(a/b, 0) {
		return "-"
	}
	return strconv.FormatFloat(a/b, 'f', 2, 64)
}

// microseconds writes a time in ns.
func microseconds(ns float64) string { return strconv.FormatFloat(ns/1000, 'f', 1, 64) }

func commandCount(n float64) string {
	if n > 0 && n < 0.1 {
		return strconv.FormatFloat(n, 'f', 4, 64)
	}
	return strconv.FormatFloat(n, 'f', 2, 64)
}

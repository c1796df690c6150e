package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"strconv"
	"time"
)

// readTable reads the rows of a file below its line of names, as name and value. Lines that
// begin with # are left out.
func readTable(file string) ([]map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	reader := csv.NewReader(bytes.NewReader(text))
	reader.Comment = '#'
	lines, err := reader.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(lines) < 2 {
		return nil, fmt.Errorf("%s has no rows", file)
	}
	rows := make([]map[string]string, 0, len(lines)-1)
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// writeTable writes rows, the first of which are the names.
func writeTable(file string, rows [][]string) error {
	var text bytes.Buffer
	if err := csv.NewWriter(&text).WriteAll(rows); err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o644) //nolint:gosec // for everybody to read
}

// seconds is a time in a table, to the millisecond.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

// number reads a cell of a row.
func number(row map[string]string, name string) (float64, error) {
	value, err := strconv.ParseFloat(row[name], 64)
	if err != nil {
		return 0, fmt.Errorf("%s is %q; allowed: a number", name, row[name])
	}
	return value, nil
}

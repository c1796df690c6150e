package main

import (
	"fmt"
	"io"
	"os"
)

// screen is where people read. It has colours on a terminal only, and not if NO_COLOR
// (no-color.org) is set.
type screen struct {
	out     io.Writer
	colours bool
}

func newScreen(out *os.File, getenv func(string) string) *screen {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &screen{out: out, colours: terminal && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"}
}

// print writes a line. That it could not be written is nothing to end the demo for.
func (s *screen) print(line string) { _, _ = fmt.Fprintln(s.out, line) }

// field writes what a name stands for, in a column of its own.
func (s *screen) field(name, text string) {
	s.print(fmt.Sprintf("  %s  %s", s.faint(fmt.Sprintf("%-12s", name)), text))
}

func (s *screen) bold(text string) string  { return s.paint("1", text) }
func (s *screen) faint(text string) string { return s.paint("2", text) }
func (s *screen) good(text string) string  { return s.paint("32", text) }
func (s *screen) bad(text string) string   { return s.paint("31", text) }

func (s *screen) paint(code, text string) string {
	if !s.colours {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

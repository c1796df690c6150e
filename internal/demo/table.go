package main

import (
	"fmt"
	"net/http"
	"strings"
)

const tableWidth = 71

// table prints the answers of a round, a row each, as they come.
type table struct {
	screen  *screen
	round   round
	rows    int
	allowed map[string]int // by instance
	names   []string       // of the instances, as they came up
}

func newTable(screen *screen, round round) *table {
	return &table{screen: screen, round: round, allowed: map[string]int{}}
}

func (t *table) head() {
	t.screen.print("\n" + t.screen.bold(t.round.title) + fmt.Sprintf(": %d requests in any %s\n", t.round.max, words(t.round.window)))
	t.screen.print(t.screen.faint(cells("#", "request", "instance") + "status" + moreCells("remaining", "retry-after")))
}

// row prints an answer, after a rule where the quota should be used up.
func (t *table) row(a answer) {
	if t.rows == t.round.max {
		t.rule()
	}
	t.rows++
	paint := t.screen.bad
	if a.status == http.StatusOK {
		paint = t.screen.good
		if t.allowed[a.instance] == 0 {
			t.names = append(t.names, a.instance)
		}
		t.allowed[a.instance]++
	}
	wait := ""
	if a.retryAfter != "" {
		wait = a.retryAfter + " s"
	}
	// Colours have no width, so they go around what is padded already.
	line := cells(fmt.Sprint(t.rows), t.round.method+" "+t.round.path, a.instance) +
		paint(fmt.Sprintf("%6d", a.status)) + moreCells(a.remaining, wait)
	t.screen.print(strings.TrimRight(line, " "))
}

// rule tells how many were allowed so far, and by whom.
func (t *table) rule() {
	total := 0
	shares := make([]string, len(t.names))
	for i, name := range t.names {
		total += t.allowed[name]
		shares[i] = fmt.Sprintf("%d by %s", t.allowed[name], name)
	}
	text := fmt.Sprintf("── %d allowed: %s ", total, strings.Join(shares, ", "))
	line := text + strings.Repeat("─", max(0, tableWidth-len([]rune(text))))
	t.screen.print("  " + t.screen.faint(line))
}

func cells(number, request, instance string) string {
	return fmt.Sprintf("  %3s  %-26s %-8s ", number, request, instance)
}

func moreCells(remaining, retryAfter string) string {
	return fmt.Sprintf(" %10s %13s", remaining, retryAfter)
}

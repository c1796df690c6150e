package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func printTable(screen *screen) {
	table := newTable(screen, twoOfFour)
	table.head()
	for _, a := range oneQuota() {
		table.row(a)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	printTable(&screen{out: &out})
	assert.Equal(t, `
Everything: 2 requests in any minute

    #  request                    instance status  remaining   retry-after
    1  GET /x                     A           200          1
    2  GET /x                     B           200          0
  ── 2 allowed: 1 by A, 1 by B ──────────────────────────────────────────
    3  GET /x                     A           429          0          60 s
    4  GET /x                     B           429          0          59 s
`, out.String())
	for line := range strings.Lines(out.String()) {
		assert.LessOrEqual(t, utf8.RuneCountInString(line), 80, line)
	}
}

func TestColoursTakeNoWidth(t *testing.T) {
	t.Parallel()
	var plain, coloured bytes.Buffer
	printTable(&screen{out: &plain})
	printTable(&screen{out: &coloured, colours: true})
	assert.Contains(t, coloured.String(), "\x1b[31m   429\x1b[0m")
	for _, code := range []string{"1", "2", "31", "32", "0"} {
		coloured = *bytes.NewBuffer(bytes.ReplaceAll(coloured.Bytes(), []byte("\x1b["+code+"m"), nil))
	}
	assert.Equal(t, plain.String(), coloured.String())
}

func TestRuleTellsWhoAllowedTooFew(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	table := newTable(&screen{out: &out}, twoOfFour)
	for _, status := range []int{429, 200, 200} {
		table.row(answer{instance: "A", status: status})
	}
	assert.Contains(t, out.String(), "── 1 allowed: 1 by A ──")
}

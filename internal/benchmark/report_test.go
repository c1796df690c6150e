package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTables(t *testing.T) {
	t.Parallel()
	tab := &table{file: "x", title: "Title", note: "Note.", header: []string{"limiter", "n"}}
	tab.add("a, b", "1")
	tab.add("c", "22")
	var markdown, csv bytes.Buffer
	tab.markdown(&markdown)
	assert.Equal(t, "\n## Title\n\nNote.\n\n| limiter |  n |\n| ------- | -: |\n| a, b    |  1 |\n| c       | 22 |\n", markdown.String())
	require.NoError(t, tab.csv(&csv, []string{"machine: m"}))
	assert.Equal(t, "# Title\n# machine: m\nlimiter,n\n\"a, b\",1\nc,22\n", csv.String())
}

// The part that needs no time, from the flags to the files.
func TestResultsNameTheMachine(t *testing.T) {
	folder := t.TempDir()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-short", "-only", "accuracy", "-out", folder}, nil, &out))
	assert.Contains(t, out.String(), "| ratelimit (MemoryStore)     |     random |")
	for _, name := range []string{"README.md", "accuracy.csv", "targets.csv", "accuracy.svg", "accuracy-edge.svg"} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		for _, of := range []string{"machine: ", "Redis ", "go1.", "modules: "} {
			assert.Contains(t, string(content), of, name)
		}
		assert.NotContains(t, string(content), folder, "%s names no path of this machine", name)
	}
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, files, 5)
}

func TestPlotsOfFewPointsOrNoCost(t *testing.T) {
	t.Parallel()
	r := &report{out: &bytes.Buffer{}, folder: t.TempDir(), where: []string{"machine: m"}}
	zero := &curves{title: "t", x: "x", y: "y", logY: true}
	zero.add("a", 1, 0) // a cost too small to measure
	zero.add("a", 10, 5)
	require.NoError(t, r.plot("zero", zero.plot))
	single := &curves{title: "t", x: "x", y: "y"}
	single.add("a", 1, 1)
	require.NoError(t, r.plot("single", single.plot))
	b := &bars{title: "t", y: "y", groups: []string{"g"}}
	b.add("a", 0)
	require.NoError(t, r.plot("bars", b.plot))
	assert.Equal(t, []string{"zero", "single", "bars"}, r.plots)
}

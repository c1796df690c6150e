package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAChildMakesCalls(t *testing.T) {
	s := newServer(t)
	o, err := json.Marshal(order{Task: taskLoad, Contestant: oursName, Place: s.place,
		Work: work{Demand: one(quota{Max: 5, Window: time.Hour}), Keys: 4, Callers: 2, Fill: 1}})
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, obey(t.Context(), string(o), strings.NewReader("20ms\n10ms\n"), &out))
	first, rest, _ := strings.Cut(out.String(), "\n")
	assert.Equal(t, "ready ", first)
	answers := json.NewDecoder(strings.NewReader(rest))
	var report childReport
	require.NoError(t, answers.Decode(&report))
	assert.EqualValues(t, 16, report.Tally.Admitted, "20, of which 4 were taken before")
	calls := int64(0)
	for _, n := range report.Latency {
		calls += int64(n)
	}
	assert.Equal(t, report.Tally.Decisions, calls)
	require.NoError(t, answers.Decode(&report), "it answers each line")
	assert.Zero(t, report.Tally.Admitted)
}

func TestBadOrders(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"Task":"load","Contestant":"nobody"}`: "nobody",
		`{"Task":"sleep"}`:                      "sleep",
		`{`:                                     "-order",
	} {
		assert.ErrorContains(t, obey(t.Context(), text, nil, nil), want, text)
	}
}

// The way from the flags to a file that pprof reads.
func TestProfileOfARow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu.out")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-short", "-row", "allowed-c64", "-cell", "50ms", "-cpuprofile", file}, nil, &out))
	assert.Contains(t, out.String(), "\n| "+oursName)
	assert.NotContains(t, out.String(), "\n| "+rueidisLimiterName, "ours alone")
	profile, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(profile, []byte{0x1f, 0x8b}), "it is compressed by gzip")
}

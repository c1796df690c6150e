package slidingwindow_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// warnings collects what is logged until the test ends. The test must not be parallel.
func warnings(t *testing.T) func() []string {
	t.Helper()
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return func() (lines []string) {
		defer log.Reset()
		for line := range strings.Lines(log.String()) {
			lines = append(lines, line)
		}
		return lines
	}
}

func TestWarnsOnceOfLimitsThatShareAName(t *testing.T) {
	warned := warnings(t)
	store := newMemoryStore(t, slidingwindow.MemoryConfig{})
	other := newMemoryStore(t, slidingwindow.MemoryConfig{})
	named := slidingwindow.Limit{Name: "shared", Max: 5, Window: time.Minute}
	newLimiter(t, store, slidingwindow.PerMinute(100))
	newLimiter(t, store, named)
	newLimiter(t, store, named)
	newLimiter(t, other, slidingwindow.PerMinute(100))
	assert.Empty(t, warned(), "a name that was given twice with the same values is meant")

	newLimiter(t, store, slidingwindow.PerMinute(100))
	lines := warned()
	require.Len(t, lines, 1, "a default name is not")
	assert.Contains(t, lines[0], "level=WARN")
	assert.Contains(t, lines[0], "limit=100-per-1m")
	assert.Contains(t, lines[0], "#name-your-limits")

	newLimiter(t, store, slidingwindow.Limit{Name: "shared", Max: 6, Window: time.Hour})
	lines = warned()
	require.Len(t, lines, 1, "nor are other values")
	assert.Contains(t, lines[0], "limit=shared max=6 window=1h0m0s other_max=5 other_window=1m0s")

	newLimiter(t, store, slidingwindow.PerMinute(100))
	newLimiter(t, store, named)
	assert.Empty(t, warned(), "once")

	l := newLimiter(t, other, slidingwindow.Limit{Name: "plan", Max: 5, Window: time.Minute})
	_, err := l.With(slidingwindow.Limit{Name: "plan", Max: 50, Window: time.Minute})
	require.NoError(t, err)
	assert.Empty(t, warned(), "plans are meant to differ")
}

func TestWarnsOnceOfAMaxOf0(t *testing.T) {
	warned := warnings(t)
	store := newMemoryStore(t, slidingwindow.MemoryConfig{})
	none := slidingwindow.Limit{Name: "none", Max: 0, Window: time.Minute}
	newLimiter(t, store, none)
	newLimiter(t, store, none)
	lines := warned()
	require.Len(t, lines, 1)
	assert.Contains(t, lines[0], "limit=none")
	assert.Contains(t, lines[0], "#a-max-of-0")
}

func TestWarningsAreBounded(t *testing.T) {
	warned := warnings(t)
	store := newMemoryStore(t, slidingwindow.MemoryConfig{})
	for i := range 2000 {
		newLimiter(t, store, slidingwindow.Limit{Max: int64(i + 1), Window: time.Minute})
	}
	newLimiter(t, store, slidingwindow.Limit{Max: 1999, Window: time.Minute})
	assert.Empty(t, warned(), "names beyond the first thousand are not watched")
	newLimiter(t, store, slidingwindow.Limit{Max: 7, Window: time.Minute})
	assert.Len(t, warned(), 1)
}

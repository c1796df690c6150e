package config

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One change of a file has several events, and each may load it again.
func TestEachFaultIsToldOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "limits.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	good := "limits:\n  api:\n    max: 1\n    window: 15m\n"
	write(good)
	c, err := Load(Sources{YAML: path, Environ: []string{"REDIS_URL=memory://"}})
	require.NoError(t, err)
	var out strings.Builder
	applied := 0
	var refuses error
	w := &watch{running: c, values: c.values(), logger: slog.New(slog.NewTextHandler(&out, nil)), apply: func(*Config) error {
		applied++
		return refuses
	}}
	told := func(text string) int { return strings.Count(out.String(), text) }

	w.reload(t.Context(), false)
	assert.Empty(t, out.String(), "nothing has changed")
	w.reload(t.Context(), true)
	assert.Equal(t, 1, told("settings are as before"))
	write("limits: [")
	for range 3 {
		w.reload(t.Context(), false)
	}
	assert.Equal(t, 1, told("settings are not changed"))
	write("limits: 7")
	w.reload(t.Context(), false)
	assert.Equal(t, 2, told("settings are not changed"), "another fault")
	write(good)
	w.reload(t.Context(), false)
	assert.Zero(t, applied, "as before the fault")
	write("limits: 7")
	w.reload(t.Context(), false)
	assert.Equal(t, 3, told("settings are not changed"), "again, after it was good")
	w.reload(t.Context(), true)
	assert.Equal(t, 4, told("settings are not changed"), "who asks is answered")

	write(strings.Replace(good, "1", "2", 1))
	refuses = errors.New("no")
	w.reload(t.Context(), false)
	w.reload(t.Context(), false)
	assert.Equal(t, 2, applied, "tried again")
	assert.Equal(t, 5, told("settings are not changed"))
	refuses = nil
	w.reload(t.Context(), false)
	w.reload(t.Context(), false)
	assert.Equal(t, 3, applied)
	assert.Equal(t, 1, told("settings changed"))

	write(strings.Replace(good, "1", "2", 1) + "port: 1\n")
	for range 3 {
		w.reload(t.Context(), false)
	}
	assert.Equal(t, 3, applied, "nothing that a program follows")
	assert.Equal(t, 1, told("settings need a restart"))
	write(strings.Replace(good, "1", "2", 1))
	w.reload(t.Context(), false)
	write(strings.Replace(good, "1", "2", 1) + "port: 1\n")
	w.reload(t.Context(), false)
	assert.Equal(t, 2, told("settings need a restart"))
}

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if os.Getenv(serviceVariable) != "" {
		main() // one of the processes that import
		return
	}
	os.Exit(m.Run())
}

func TestImport(t *testing.T) {
	// A machine that stalls may deliver a batch seconds after it was decided.
	t.Setenv("LIMITS_IMPORT_WINDOW", "6s")
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	require.NoError(t, importAll(t.Context(), maxRows+maxRows/2, out))
	require.NoError(t, out.Close())
	told, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	assert.Contains(t, string(told), "600000 rows from 4 processes")
	assert.Contains(t, string(told), "violations: 0\n")
}

func TestTheServiceTellsOfEachBatchTooMuch(t *testing.T) {
	s := &service{wanted: 10 * maxRows}
	now := time.Now()
	assert.EqualValues(t, answerTaken, s.take(now, maxRows-1))
	assert.EqualValues(t, answerTaken, s.take(now.Add(window/2), 1))
	assert.EqualValues(t, answerTooMany, s.take(now.Add(window-1), 1))
	assert.EqualValues(t, answerTaken, s.take(now.Add(window), maxRows-1))
	assert.EqualValues(t, answerTooMany, s.take(now.Add(window), 1))
	taken, violations := s.counts()
	assert.EqualValues(t, 2*maxRows-1, taken)
	assert.EqualValues(t, 2, violations)
	s.wanted = taken
	assert.EqualValues(t, answerDone, s.take(now, 1))
}

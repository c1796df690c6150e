package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The workers are this program, too.
func TestMain(m *testing.M) {
	if job := os.Getenv(workerEnv); job != "" {
		os.Exit(work(job))
	}
	os.Exit(m.Run())
}

// That make soak finds nothing means something only if it finds this.
func TestABrokenWorkerIsFound(t *testing.T) {
	t.Parallel()
	r, err := soak(t.Context(), settings{length: 3 * time.Second, seed: 7, workers: 2, broken: true})
	require.NoError(t, err)
	require.NotEmpty(t, r.faultsFound())
	assert.Contains(t, r.faultsFound()[0], "OVER THE LIMIT")
	var out strings.Builder
	r.print(&out)
	assert.Contains(t, out.String(), "WRONG, with seed 7")
}

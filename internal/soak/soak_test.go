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
	var r *result
	for length := 3 * time.Second; ; length *= 2 { // a slow machine needs longer
		var err error
		r, err = soak(t.Context(), settings{length: length, seed: 7, workers: 2, broken: true})
		require.NoError(t, err)
		require.NotEmpty(t, r.faultsFound())
		if strings.Contains(r.faultsFound()[0], "OVER THE LIMIT") {
			break
		}
		require.Less(t, length, time.Minute, "%v", r.faultsFound())
	}
	var out strings.Builder
	r.print(&out)
	assert.Contains(t, out.String(), "WRONG, with seed 7")
}

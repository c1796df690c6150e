package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// runMain makes the test binary be the program, for tests of signals and exit codes.
const runMain = "JOBS_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	redistest.Main(m)
}

func TestWorkerStartsThreeJobsInAnyTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // time.Now and time.After are the bubble's
		begin := time.Now()
		var started []time.Duration
		err := run(t.Context(), []string{"REDIS_URL=memory://"}, 9, func(int) {
			started = append(started, time.Since(begin))
		})
		require.NoError(t, err)
		s := time.Second
		assert.Equal(t, []time.Duration{0, 0, 0, 2 * s, 2 * s, 2 * s, 4 * s, 4 * s, 4 * s}, started)
	})
}

func TestTwoWorkersShareTheQuotaOfRedis(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	prefix := redistest.Prefix(t, client)
	environ := []string{
		"REDIS_URL=" + redistest.URL(t), "REDIS_PREFIX=" + prefix, "REDIS_TIMEOUT=10s",
		"LIMITS_JOBS_MAX=4", "LIMITS_JOBS_WINDOW=1h",
	}
	require.NoError(t, run(t.Context(), environ, 3, func(int) {}))
	require.NoError(t, run(t.Context(), environ, 1, func(int) {}))

	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: prefix, Timeout: 10 * time.Second})
	require.NoError(t, err)
	limiter, err := slidingwindow.New(store, slidingwindow.Limit{Name: "jobs", Max: 4, Window: time.Hour})
	require.NoError(t, err)
	decision, err := limiter.Peek(t.Context(), "thumbnails")
	require.NoError(t, err)
	assert.False(t, decision.Allowed, "the two workers used all 4")
}

func TestWorkerToldToEndEndsWell(t *testing.T) {
	t.Parallel()
	environ := []string{"REDIS_URL=memory://", "LIMITS_JOBS_MAX=1", "LIMITS_JOBS_WINDOW=1h"}
	for name, jobs := range map[string]int{"before it starts": 0, "while it waits": 1} {
		// As signal.NotifyContext cancels: with a cause.
		ctx, cancel := context.WithCancelCause(t.Context())
		if jobs == 0 {
			cancel(errors.New("terminated signal received"))
		}
		started := 0
		err := run(ctx, environ, 9, func(int) {
			started++
			cancel(errors.New("terminated signal received"))
		})
		assert.NoError(t, err, name)
		assert.Equal(t, jobs, started, name)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("terminated signal received"))
	assert.NoError(t, run(ctx, []string{"REDIS_URL=redis://127.0.0.1:1"}, 1, nil), "while it connects")
}

func TestSignalsEndTheProcessWith0(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), runMain+"=1", "REDIS_URL=memory://", "LIMITS_JOBS_MAX=1", "LIMITS_JOBS_WINDOW=1h")
		stderr, err := cmd.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(stderr)
		require.True(t, lines.Scan())
		assert.Contains(t, lines.Text(), "job started")
		require.NoError(t, cmd.Process.Signal(signal))
		rest, err := io.ReadAll(stderr)
		require.NoError(t, err)
		assert.NoError(t, cmd.Wait(), "%v: %s", signal, rest)
	}
}

func TestMissingRedisURLIsSaid(t *testing.T) {
	t.Parallel()
	assert.ErrorContains(t, run(t.Context(), []string{}, 1, nil), "REDIS_URL is required")
}

package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestMain(m *testing.M) { redistest.Main(m) }

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

func TestMissingRedisURLIsSaid(t *testing.T) {
	t.Parallel()
	assert.ErrorContains(t, run(t.Context(), []string{}, 1, nil), "REDIS_URL is required")
}

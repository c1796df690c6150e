package main

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/riverqueue/river"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// notYet is the error of a job that was refused.
type notYet struct{ retryAfter time.Duration }

func (e *notYet) Error() string { return "not before " + e.retryAfter.String() }

// asynqTask is a handler of asynq.
func asynqTask(ctx context.Context, limiter *slidingwindow.Limiter, work func()) error {
	if d, err := limiter.Allow(ctx, "partner"); err != nil {
		return err // no decision: asynq's own backoff
	} else if !d.Allowed {
		return &notYet{d.RetryAfter}
	}
	work()
	return nil
}

func asynqConfig() asynq.Config {
	return asynq.Config{
		// A refused job has not failed: it does not use up its retries.
		IsFailure: func(err error) bool { return !errors.As(err, new(*notYet)) },
		RetryDelayFunc: func(n int, err error, task *asynq.Task) time.Duration {
			if later := (*notYet)(nil); errors.As(err, &later) {
				return later.retryAfter + time.Second // asynq cuts the time to whole seconds
			}
			return asynq.DefaultRetryDelayFunc(n, err, task)
		},
	}
}

type call struct{}

func (call) Kind() string { return "call" }

// riverWorker is a worker of River.
type riverWorker struct {
	river.WorkerDefaults[call]
	limiter *slidingwindow.Limiter
}

func (w *riverWorker) Work(ctx context.Context, _ *river.Job[call]) error {
	d, err := w.limiter.Allow(ctx, "partner")
	if err != nil {
		return err
	}
	if !d.Allowed {
		return river.JobSnooze(d.RetryAfter)
	}
	return nil
}

func newLimiter(t *testing.T, url string, limit slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	store, err := slidingwindow.NewRedisStore(redistest.Connect(t, url), slidingwindow.RedisConfig{Timeout: 30 * time.Second})
	require.NoError(t, err)
	limiter, err := slidingwindow.New(store, limit)
	require.NoError(t, err)
	return limiter
}

func startRedis(t *testing.T) *redisserver.Server {
	t.Helper()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	return server
}

// asynq runs refused jobs again at their RetryAfter, some of them more than once although they
// have one retry: none has failed.
func TestAsynqRunsRefusedJobsAgain(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	limiter := newLimiter(t, server.URL(), slidingwindow.Limit{Max: 2, Window: time.Second})
	redis, err := asynq.ParseRedisURI(server.URL())
	require.NoError(t, err)

	const jobs = 7
	var done, refused atomic.Int32
	cfg := asynqConfig()
	cfg.DelayedTaskCheckInterval = 50 * time.Millisecond
	cfg.LogLevel = asynq.FatalLevel
	worker := asynq.NewServer(redis, cfg)
	require.NoError(t, worker.Start(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
		err := asynqTask(ctx, limiter, func() { done.Add(1) })
		if err != nil {
			refused.Add(1)
		}
		return err
	})))
	t.Cleanup(worker.Shutdown)
	client := asynq.NewClient(redis)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	for range jobs {
		_, err := client.EnqueueContext(t.Context(), asynq.NewTask("call", nil), asynq.MaxRetry(1))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return done.Load() == jobs }, 2*time.Minute, 10*time.Millisecond)
	assert.Positive(t, refused.Load(), "some came too early")
	inspector := asynq.NewInspector(redis)
	t.Cleanup(func() { assert.NoError(t, inspector.Close()) })
	info, err := inspector.GetQueueInfo("default")
	require.NoError(t, err)
	assert.Zero(t, info.FailedTotal)
	assert.Zero(t, info.Archived, "none was given up")
}

func TestRiverSnoozesRefusedJobs(t *testing.T) {
	t.Parallel()
	worker := &riverWorker{limiter: newLimiter(t, startRedis(t).URL(), slidingwindow.PerHour(1))}
	require.NoError(t, worker.Work(t.Context(), &river.Job[call]{}))
	var snoozed *river.JobSnoozeError
	require.ErrorAs(t, worker.Work(t.Context(), &river.Job[call]{}), &snoozed)
	d, err := worker.limiter.Peek(t.Context(), "partner")
	require.NoError(t, err)
	assert.LessOrEqual(t, d.RetryAfter, snoozed.Duration, "it returns when its unit does")
	assert.LessOrEqual(t, snoozed.Duration, time.Hour)
}

// The code of the package's documentation is that of this file.
func TestDocumentedCodeIsTheTestedCode(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("main.go")
	require.NoError(t, err)
	code, err := os.ReadFile("requeue_example_test.go")
	require.NoError(t, err)
	_, recipes, found := strings.Cut(string(doc), "// # Queues with delays of their own")
	require.True(t, found)
	blocks := regexp.MustCompile(`(?m)(?:^//\t.*\n|^//\n)*^//\t.*\n`).FindAllString(recipes, -1)
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		for piece := range strings.SplitSeq(unindented(block), "\n\n") {
			assert.Contains(t, unindented(string(code)), strings.TrimSpace(piece))
		}
	}
}

func unindented(code string) string {
	return regexp.MustCompile(`(?m)^(?://)?[\t ]*`).ReplaceAllString(code, "")
}

package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// connect is a client of a new server with a limit of 2.
func connect(t *testing.T, store slidingwindow.Store, window time.Duration) grpc_health_v1.HealthClient {
	t.Helper()
	limiter, err := slidingwindow.New(store, slidingwindow.Limit{Name: "api", Max: 2, Window: window})
	require.NoError(t, err)
	address, stop, err := serve(limiter)
	require.NoError(t, err)
	t.Cleanup(stop)
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, conn.Close()) })
	return grpc_health_v1.NewHealthClient(conn)
}

func check(ctx context.Context, client grpc_health_v1.HealthClient) error {
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}

// watch opens a stream, takes one message of it, and closes it.
func watch(ctx context.Context, client grpc_health_v1.HealthClient) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

func TestRefusedCallsAndStreamsTellWhenToRetry(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(context.Context, grpc_health_v1.HealthClient) error{"unary": check, "stream": watch} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			store, err := memory.NewWithConfig(memory.Config{Clock: func() time.Time { return now }})
			require.NoError(t, err)
			client := connect(t, store, 10*time.Second)

			require.NoError(t, call(t.Context(), client))
			now = now.Add(500 * time.Millisecond)
			require.NoError(t, call(t.Context(), client))
			err = call(t.Context(), client)
			assert.Equal(t, codes.ResourceExhausted, status.Code(err))
			assert.Equal(t, 9500*time.Millisecond, retryDelay(err))

			now = now.Add(retryDelay(err) - time.Millisecond)
			assert.Equal(t, time.Millisecond, retryDelay(call(t.Context(), client)), "just before it")
			now = now.Add(time.Millisecond)
			require.NoError(t, call(t.Context(), client))
		})
	}
}

func TestCallsAndStreamsShareAQuotaOfRedisOverServers(t *testing.T) {
	t.Parallel()
	redis := redistest.Client(t)
	prefix := redistest.Prefix(t, redis)
	newClient := func() grpc_health_v1.HealthClient {
		store, err := slidingwindow.NewRedisStore(redis, slidingwindow.RedisConfig{Prefix: prefix, Timeout: 30 * time.Second})
		require.NoError(t, err)
		return connect(t, store, time.Hour)
	}
	one, other := newClient(), newClient()
	require.NoError(t, check(t.Context(), one))
	require.NoError(t, watch(t.Context(), other))
	for _, client := range []grpc_health_v1.HealthClient{one, other} {
		assert.Equal(t, codes.ResourceExhausted, status.Code(check(t.Context(), client)))
		assert.Equal(t, codes.ResourceExhausted, status.Code(watch(t.Context(), client)))
	}
}

func TestWithoutADecisionTheServiceIsUnavailable(t *testing.T) {
	t.Parallel()
	redis := redistest.Connect(t, redistest.URL(t))
	store, err := slidingwindow.NewRedisStore(redis, slidingwindow.RedisConfig{})
	require.NoError(t, err)
	redis.Close()
	client := connect(t, store, time.Hour)
	for _, err := range []error{check(t.Context(), client), watch(t.Context(), client)} {
		assert.Equal(t, codes.Unavailable, status.Code(err))
		assert.Contains(t, status.Convert(err).Message(), "cannot be checked")
	}
}

func TestCallThatEndedIsNoOutage(t *testing.T) {
	t.Parallel()
	limiter := slidingwindow.MustNew(memory.New(), slidingwindow.PerMinute(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Equal(t, codes.Canceled, status.Code(allow(ctx, limiter)))
}

func TestProgramIsRefusedAndLetInAgain(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{"REDIS_URL=memory://", "LIMITS_API_MAX=1", "LIMITS_API_WINDOW=1s"}, &out))
	assert.Regexp(t, `^Check: OK\n(Check: OK\n)*Check: ResourceExhausted\nRetryInfo: .+\n(Check: ResourceExhausted\nRetryInfo: .+\n)*Check: OK\n$`, out.String())
}

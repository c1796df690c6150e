package slidingwindow_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/redisconn"
)

// guardedClient has connections of redisconn.
func guardedClient(o *rueidis.ClientOption) { o.DialCtxFn = redisconn.Dial }

// A caller that leaves is not held by a Redis that hangs, whoever makes the connections, and
// whether its command waits for a reply or for a connection. The store's timeout is a minute.
func TestCallersLeaveAtOnceWhileRedisHangs(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*rueidis.ClientOption){
		"rueidis": func(*rueidis.ClientOption) {}, "redisconn": guardedClient,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startServer(t)
			client := redistest.Connect(t, server.URL(), set)
			store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: time.Minute})
			require.NoError(t, err)
			l := newLimiter(t, store, slidingwindow.PerHour(1000))
			for range 3 {
				require.True(t, allow(t, l, "k"))
			}
			before := runtime.NumGoroutine()
			require.NoError(t, server.Freeze())
			t.Cleanup(func() { _ = server.Thaw() })
			why := errors.New("the client went away")
			var callers sync.WaitGroup
			ctx, cancel := context.WithCancelCause(t.Context())
			for range 20 {
				callers.Go(func() {
					_, err := l.Allow(ctx, "k")
					assert.ErrorIs(t, err, why)
					assert.NotErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
					_, err = l.Peek(ctx, "k")
					assert.ErrorIs(t, err, why)
				})
			}
			left := make(chan struct{})
			go func() { callers.Wait(); close(left) }()
			select {
			case <-left:
				t.Fatal("a frozen Redis answers nothing")
			case <-time.After(50 * time.Millisecond):
			}
			cancel(why)
			select {
			case <-left:
			case <-time.After(20 * time.Second):
				t.Fatal("callers are still there")
			}
			require.NoError(t, server.Thaw())
			require.Eventually(t, func() bool { return allow(t, l, "other") }, 20*time.Second, time.Millisecond)
			if name == "redisconn" {
				require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+50 }, 20*time.Second, time.Millisecond)
				assert.Zero(t, store.Leaving())
			}
		})
	}
}

// Of callers that are under way at the same time only the one that leaves is ended.
func TestACallerThatLeavesEndsNoOther(t *testing.T) {
	t.Parallel()
	client := redistest.Connect(t, redisserverURL(t), guardedClient)
	l := newLimiter(t, redisStore(t, client, "rl"), slidingwindow.PerHour(1_000_000))
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for n := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				leaves := i%2 == 0 && n%3 == 0
				if leaves {
					go cancel()
				}
				_, err := l.Allow(ctx, "k")
				if !leaves {
					assert.NoError(t, err)
				} else if err != nil {
					assert.ErrorIs(t, err, context.Canceled)
				}
				cancel()
			}
		})
	}
	callers.Wait()
}

func redisserverURL(t *testing.T) string { return startServer(t).URL() }

// Connections that are kept, and have ended while they were not used, cost no call.
func TestARestartOfRedisCostsNoLaterCall(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL(), guardedClient)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: patient, BatchesInFlight: 8, BatchSize: 1})
	require.NoError(t, err)
	l := newLimiter(t, store, slidingwindow.PerHour(1_000_000))
	var callers sync.WaitGroup
	for range 8 { // so that there are some connections
		callers.Go(func() {
			for range 50 {
				_, err := l.Allow(context.Background(), "k")
				assert.NoError(t, err)
			}
		})
	}
	callers.Wait()
	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(t.Context()))
	time.Sleep(30 * time.Millisecond) // longer than a connection is taken for one in use
	for range 20 {
		_, err := l.Allow(context.Background(), "k")
		require.NoError(t, err)
	}
}

package slidingwindow_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestAnIdleConnectionEndsAtItsLifetime(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	store, _ := wired(t, server.Addr(), slidingwindow.RedisConfig{Timeout: patient, ConnectionLifetime: 300 * time.Millisecond, BatchesInFlight: 8, BatchSize: 1},
		func(o *rueidis.ClientOption) { o.Dialer.KeepAlive = time.Hour }) // the client's own PINGs would find them
	l := newLimiter(t, store, slidingwindow.PerHour(much))
	made := 50
	require.Eventually(t, func() bool {
		made += 50
		return assert.Empty(t, together(50, func(int) error {
			_, err := l.Allow(context.Background(), "k")
			return err
		})) && strings.Contains(command(t, server, "client", "list"), "cmd=evalsha")
	}, patient, time.Millisecond)
	require.Eventually(t, func() bool {
		return !strings.Contains(command(t, server, "client", "list"), "cmd=evalsha")
	}, patient, 20*time.Millisecond, "connections of calls are still there")

	// Those that the client still has in its pool are of no use.
	require.Empty(t, together(50, func(int) error {
		_, err := l.Allow(context.Background(), "k")
		return err
	}))
	assert.EqualValues(t, made, used(t, l, "k"))
}

func TestABusyConnectionIsReplacedAtItsLifetime(t *testing.T) {
	t.Parallel()
	store, wire := wired(t, startServer(t).Addr(), slidingwindow.RedisConfig{Timeout: patient, ConnectionLifetime: 50 * time.Millisecond, BatchesInFlight: 2})
	l := newLimiter(t, store, slidingwindow.PerHour(much))
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	enough := wire.dialed() + 12
	var made atomic.Int64
	require.Empty(t, together(4, func(int) error {
		for ctx.Err() == nil && wire.dialed() < enough {
			if _, err := l.Allow(context.Background(), "k"); err != nil {
				return err
			}
			made.Add(1)
		}
		return ctx.Err()
	}), "calls that failed, or connections that stayed")
	assert.Equal(t, made.Load(), used(t, l, "k"), "each call is counted once")
}

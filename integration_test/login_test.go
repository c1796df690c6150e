package integration_test

import (
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	patience = time.Minute // a bound on waits that end by themselves
	poll     = 20 * time.Millisecond
)

func startServer(t *testing.T, args ...string) *redisserver.Server {
	t.Helper()
	server, err := redisserver.Start(t.Context(), args...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	return server
}

// connected is a client as a program has it, and closed when the test ends.
func connected(t *testing.T, environ ...string) rueidis.Client {
	t.Helper()
	client, err := connectTo(t.Context(), environ...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func run(t *testing.T, server *redisserver.Server, command ...string) string {
	t.Helper()
	reply, err := server.Do(t.Context(), command...)
	require.NoError(t, err)
	return reply
}

// A connection that was made stays, whatever becomes of its password. A new one
// needs the new password.
func TestPasswordIsRotated(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	setUser(t, server, rightsOfAll)
	client := connected(t, "REDIS_URL=redis://limiter:s3cret@"+server.Addr())
	l := deployment{client: client, prefix: "rl"}.limiter(t, slidingwindow.PerHour(100))
	calls := map[string]func() error{
		"allow": func() error { _, err := l.Allow(t.Context(), "k"); return err },
		"peek":  func() error { _, err := l.Peek(t.Context(), "k"); return err },
		"reset": func() error { return l.Reset(t.Context(), "other") },
	}
	works := func() bool {
		for _, call := range calls {
			if call() != nil {
				return false
			}
		}
		return true
	}
	require.True(t, works())

	run(t, server, "acl", "setuser", "limiter", "<s3cret", ">s3cret-too")
	require.True(t, works(), "Redis asks nobody again")
	run(t, server, "client", "kill", "user", "limiter")
	for name, call := range calls {
		var err error
		require.Eventually(t, func() bool { err = call(); return err != nil }, patience, poll, name)
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable, name)
		assert.NotContains(t, err.Error(), "s3cret", name)
	}
	_, err := l.Allow(t.Context(), "k")
	require.ErrorContains(t, err, "WRONGPASS")

	run(t, server, "acl", "setuser", "limiter", ">s3cret")
	require.Eventually(t, works, patience, poll, "heals without a restart")
}

// A user who is removed takes its connections with it.
func TestUserIsRemoved(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	setUser(t, server, rightsOfAll)
	client := connected(t, "REDIS_URL=redis://limiter:s3cret@"+server.Addr())
	l := deployment{client: client, prefix: "rl"}.limiter(t, slidingwindow.PerHour(100))
	mustTake(t, l, "k", 1)
	run(t, server, "acl", "deluser", "limiter")
	var err error
	require.Eventually(t, func() bool { _, err = l.Allow(t.Context(), "k"); return err != nil }, patience, poll)
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	assert.NotContains(t, err.Error(), "s3cret")
	setUser(t, server, rightsOfAll)
	require.Eventually(t, func() bool { _, err := l.Allow(t.Context(), "k"); return err == nil }, patience, poll)
}

package slidingwindow_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Every way in which a real Redis will not run one call: the error says so, and nothing of the
// caller's key.
func TestARejectedCallTellsNoKey(t *testing.T) {
	t.Parallel()
	const key = "live-api-key"
	limit := slidingwindow.PerHour(5)
	allow := func(ctx context.Context, l *slidingwindow.Limiter) error {
		_, err := l.Allow(ctx, key)
		return err
	}
	peek := func(ctx context.Context, l *slidingwindow.Limiter) error {
		_, err := l.Peek(ctx, key)
		return err
	}
	reset := func(ctx context.Context, l *slidingwindow.Limiter) error { return l.Reset(ctx, key) }
	for name, test := range map[string]struct {
		args []string // of the server
		acl  string   // of the user, besides +@all
		call func(context.Context, *slidingwindow.Limiter) error
		code string
		text string
	}{
		"renamed EVALSHA":      {args: []string{"--rename-command", "EVALSHA", ""}, call: allow, code: "ERR", text: "unknown command 'EVALSHA' ..."},
		"renamed EVALSHA_RO":   {args: []string{"--rename-command", "EVALSHA_RO", ""}, call: peek, code: "ERR", text: "unknown command 'EVALSHA_RO' ..."},
		"renamed UNLINK":       {args: []string{"--rename-command", "UNLINK", ""}, call: reset, code: "ERR", text: "unknown command 'UNLINK' ..."},
		"renamed ZADD":         {args: []string{"--rename-command", "ZADD", ""}, call: allow, code: "ERR", text: "Unknown Redis command called from script"},
		"denied EVALSHA":       {acl: "-evalsha", call: allow, code: "NOPERM", text: "NOPERM this user has no permissions to run the 'evalsha' command"},
		"denied EVALSHA_RO":    {acl: "-evalsha_ro", call: peek, code: "NOPERM", text: "NOPERM this user has no permissions to run the 'evalsha_ro' command"},
		"denied ZADD":          {acl: "-zadd", call: allow, code: "ERR", text: "The user executing the script can't run this command or subcommand"},
		"denied key":           {acl: "resetkeys ~rl:{k}:*", call: allow, code: "NOPERM", text: "NOPERM this user has no permissions to access one of the keys used as arguments"},
		"denied key of a look": {acl: "resetkeys ~rl:{k}:*", call: peek, code: "NOPERM", text: "NOPERM this user has no permissions to access one of the keys used as arguments"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := redisserver.Start(t.Context(), test.args...)
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, server.Stop()) })
			_, err = server.Do(t.Context(), append(strings.Fields("acl setuser limiter reset on >s3cret ~* &* +@all"), strings.Fields(test.acl)...)...)
			require.NoError(t, err)
			client := redistest.Connect(t, "redis://limiter:s3cret@"+server.Addr())
			store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: 10 * time.Second})
			require.NoError(t, err)
			err = test.call(t.Context(), newLimiter(t, store, limit))
			require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
			require.ErrorIs(t, err, slidingwindow.ErrCallRejected)
			var reply *slidingwindow.ReplyError
			require.ErrorAs(t, err, &reply)
			assert.Equal(t, test.code, reply.Code)
			assert.True(t, strings.HasPrefix(reply.Text, test.text), reply.Text)
			assert.NotContains(t, err.Error(), key)
			var raw *rueidis.RedisError
			assert.False(t, errors.As(err, &raw), "it has the key")
		})
	}
}

// What stands for the whole store says nothing of this call.
func TestAnOutageRejectsNoCall(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	store, err := slidingwindow.NewRedisStore(redistest.Connect(t, server.URL()), slidingwindow.RedisConfig{Timeout: 10 * time.Second})
	require.NoError(t, err)
	l := newLimiter(t, store, slidingwindow.PerHour(5))
	for code, command := range map[string][]string{
		"OOM":        {"CONFIG", "SET", "maxmemory", "1"},
		"NOREPLICAS": {"CONFIG", "SET", "min-replicas-to-write", "1", "maxmemory", "0"},
		"READONLY":   {"REPLICAOF", "127.0.0.1", "1"},
	} {
		_, err = server.Do(t.Context(), "CONFIG", "SET", "min-replicas-to-write", "0", "maxmemory", "0")
		require.NoError(t, err)
		_, err = server.Do(t.Context(), "REPLICAOF", "NO", "ONE")
		require.NoError(t, err)
		_, err = server.Do(t.Context(), command...)
		require.NoError(t, err)
		_, err = l.Allow(t.Context(), "k")
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
		require.NotErrorIs(t, err, slidingwindow.ErrCallRejected)
		var reply *slidingwindow.ReplyError
		require.ErrorAs(t, err, &reply)
		assert.Equal(t, code, reply.Code)
	}
}

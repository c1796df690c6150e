package slidingwindow_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// A Check that is left has commands under way: what they bring must be nobody's. That is for the
// race detector to find.
func TestCheckMayBeLeftAtAnyTime(t *testing.T) {
	t.Parallel()
	far := startFar(t, startServer(t).Addr(), time.Millisecond)
	cluster := startCluster(t).Nodes[0].URL()
	for name, url := range map[string]string{"single": "redis://" + far, "cluster": cluster} {
		for conns, set := range map[string]func(*rueidis.ClientOption){"rueidis": func(*rueidis.ClientOption) {}, "redisconn": guardedClient} {
			t.Run(name+" "+conns, func(t *testing.T) {
				t.Parallel()
				client := redistest.Connect(t, url, set)
				for i := range 50 {
					// One that knows already has less to find out.
					store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: patient})
					require.NoError(t, err)
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*500*time.Microsecond)
					if err := store.Check(ctx); err != nil {
						require.ErrorIs(t, err, context.DeadlineExceeded)
						require.NotErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
					}
					cancel()
				}
				store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: patient})
				require.NoError(t, err)
				require.NoError(t, store.Check(t.Context()))
			})
		}
	}
}

func TestCheckOfARedisThatHangsEnds(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	client := redistest.Connect(t, server.URL(), guardedClient)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: 50 * time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, server.Freeze())
	for range 4 {
		require.ErrorIs(t, store.Check(t.Context()), slidingwindow.ErrStoreUnavailable)
	}
	require.NoError(t, server.Thaw())
	require.Eventually(t, func() bool { return store.Check(t.Context()) == nil }, patient, 10*time.Millisecond)
}

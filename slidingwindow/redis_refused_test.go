package slidingwindow_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// A connection whose server refused ends, as it may be that of an old master. A later call
// must go over another one, and not fail or be counted by the one that ended.
func TestAConnectionThatWasRefusedFailsNoLaterCall(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	store, wire := wired(t, server.Addr(), slidingwindow.RedisConfig{Timeout: patient, BatchesInFlight: 1})
	l := newLimiter(t, store, slidingwindow.PerHour(much))
	require.True(t, allow(t, l, "k"))
	time.Sleep(1100 * time.Millisecond) // a younger connection does not end
	command(t, server, "config", "set", "min-replicas-to-write", "1")
	dialed := wire.dialed()
	_, err := l.Allow(context.Background(), "k")
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	require.ErrorContains(t, err, "NOREPLICAS")
	command(t, server, "config", "set", "min-replicas-to-write", "0")
	require.True(t, allow(t, l, "k"))
	assert.EqualValues(t, 2, used(t, l, "k"))
	assert.Greater(t, wire.dialed(), dialed, "it was another connection")
}

// observedClient is a type that == panics on.
type observedClient struct {
	rueidis.Client
	observe func(string)
}

func TestAClientOfAnyTypeWorks(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"single": startServer(t).URL(), "cluster": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if url == "" {
				url = startCluster(t).Nodes[0].URL()
			}
			client := observedClient{redistest.Connect(t, url, guardedClient), func(string) {}}
			store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: patient})
			require.NoError(t, err)
			t.Cleanup(store.Close)
			require.NoError(t, store.Check(t.Context()))
			l := newLimiter(t, store, slidingwindow.PerHour(1))
			d, err := l.Allow(t.Context(), "k")
			require.NoError(t, err)
			for range 3 {
				require.False(t, allow(t, l, "k"))
			}
			require.NoError(t, l.Refund(t.Context(), "k", d))
			require.True(t, allow(t, l, "k"))
			require.NoError(t, l.Reset(t.Context(), "k"))
			require.Zero(t, used(t, l, "k"))
		})
	}
}

package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestLease(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	open := func(lease string) *config.Store {
		c, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=" + server.URL(), "REDIS_LEASE=" + lease}})
		require.NoError(t, err)
		store, err := c.Redis.Open(t.Context())
		require.NoError(t, err)
		return store
	}
	leased := open("30s")
	limit := slidingwindow.Limit{Name: "api", Max: 1000, Window: time.Minute}
	l, err := slidingwindow.New(leased, limit)
	require.NoError(t, err)
	for range 200 {
		d, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
		require.True(t, d.Allowed)
	}
	direct := open("0s")
	l2, err := slidingwindow.New(direct, limit)
	require.NoError(t, err)
	d, err := l2.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.Less(t, d.Remaining, int64(800), "units are lent")
	leased.Close()
	d, err = l2.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 800, d.Remaining, "and given back")
	direct.Close()

	long := open("2m")
	defer long.Close()
	_, err = slidingwindow.New(long, limit)
	assert.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
	assert.ErrorContains(t, err, `lease.Config.For is 2m0s; allowed: at most 1m0s, the Window of limit "api"`)
	for _, bad := range []string{"-1s", "1us", "soon"} {
		_, err = config.Load(config.Sources{Environ: []string{"REDIS_URL=" + server.URL(), "REDIS_LEASE=" + bad}})
		assert.ErrorIs(t, err, config.ErrInvalid)
		assert.ErrorContains(t, err, "REDIS_LEASE")
		assert.ErrorContains(t, err, "1ms or more, such as 50ms, or 0s for none")
	}
}

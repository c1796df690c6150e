package slidingwindow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func newMemoryStore(t testing.TB, config memory.Config) *memory.Store {
	t.Helper()
	store, err := memory.New(config)
	require.NoError(t, err)
	return store
}

func newLimiter(t testing.TB, store slidingwindow.Store, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	limiter, err := slidingwindow.New(store, limits...)
	require.NoError(t, err)
	return limiter
}

func allow(t testing.TB, l *slidingwindow.Limiter, key string) bool {
	t.Helper()
	d, err := l.Allow(t.Context(), key)
	require.NoError(t, err)
	return d.Allowed
}

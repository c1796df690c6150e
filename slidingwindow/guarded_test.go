package slidingwindow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

// What a Redis store promises it promises behind a guard, too. It is here for the clock that
// the tests set.
func TestGuardedRedisStore(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		h, _ := redisHarness(t, client)
		guarded, err := guard.New(h.Store, guard.Config{})
		require.NoError(t, err)
		h.Store = guarded
		return h
	})
}

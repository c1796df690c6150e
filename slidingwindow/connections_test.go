package slidingwindow_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// How many connections a store makes must not grow with its callers.

const (
	crowd = 500
	few   = 20 // connections
)

func TestACrowdThatPeeksRefundsAndResetsNeedsFewConnections(t *testing.T) {
	t.Parallel()
	store, wire := wired(t, startServer(t).Addr(), slidingwindow.RedisConfig{Timeout: patient, BatchesInFlight: 2})
	l := newLimiter(t, store, slidingwindow.PerHour(much))
	decisions := make([]slidingwindow.Decision, crowd)
	require.Empty(t, together(crowd, func(i int) (err error) {
		decisions[i], err = l.Allow(context.Background(), fmt.Sprint(i))
		return err
	}))
	for name, call := range map[string]func(i int) error{
		"peek":   func(i int) error { _, err := l.Peek(context.Background(), fmt.Sprint(i)); return err },
		"refund": func(i int) error { return l.Refund(context.Background(), fmt.Sprint(i), decisions[i]) },
		"reset":  func(i int) error { return l.Reset(context.Background(), fmt.Sprint(i)) },
	} {
		before := wire.dialed()
		require.Empty(t, together(crowd, call), name)
		t.Logf("%s: %d connections", name, wire.dialed()-before)
		assert.LessOrEqual(t, wire.dialed()-before, few, "connections to %s", name)
	}
}

func TestCheckNeedsFewConnections(t *testing.T) {
	t.Parallel()
	store, wire := wired(t, startServer(t).Addr(), slidingwindow.RedisConfig{Timeout: patient})
	before := wire.dialed()
	require.NoError(t, store.Check(t.Context()))
	assert.LessOrEqual(t, wire.dialed()-before, few)
}

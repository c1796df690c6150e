package main

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newServer is a Redis of one test.
func newServer(t *testing.T) *server {
	t.Helper()
	s, err := startServer(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.stop()) })
	return s
}

// A limiter that does not limit would look fast.
func TestEveryContestantLimits(t *testing.T) {
	s := newServer(t)
	q := quota{Max: 10, Window: time.Hour}
	for _, c := range append(onRedis(), inMemory()...) {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, s.empty(t.Context()))
			ask, end, err := c.open(t.Context(), s.Addr(), q)
			require.NoError(t, err)
			defer end()
			keys := keyNames("user", 5)
			began := time.Now()
			tally := askInTurn(t.Context(), ask, keys, 1, 200)
			may := c.admits(q, time.Since(began))
			assert.Zero(t, tally.Errors)
			assert.EqualValues(t, 200, tally.Decisions)
			if math.IsInf(may, 1) {
				assert.EqualValues(t, 200, tally.Admitted, "a floor does not limit")
				return
			}
			assert.GreaterOrEqual(t, tally.Admitted, int64(5*10))
			assert.LessOrEqual(t, float64(tally.Admitted), 5*may)
		})
	}
}

func TestNamesAreOfOneContestant(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range append(onRedis(), inMemory()...) {
		assert.False(t, seen[c.name], c.name)
		seen[c.name] = true
	}
	assert.Len(t, contestantsNamed(oursName, incrName), 2, "the rows that others are compared with")
	assert.Equal(t, oursInMemoryName, inMemory()[0].name)
}

func TestWhatAlgorithmsMayAdmit(t *testing.T) {
	t.Parallel()
	q := quota{Max: 10, Window: time.Minute}
	assert.EqualValues(t, 10, oncePerWindow(q, 59*time.Second))
	assert.EqualValues(t, 20, oncePerWindow(q, time.Minute))
	assert.EqualValues(t, 20, perClockWindow(q, time.Second))
	assert.EqualValues(t, 15, burstAndRate(q, 30*time.Second))
	assert.EqualValues(t, 11, burstAndRate(q, time.Second), "a part of a unit is rounded up")
}

func TestAnErrorIsNoDecision(t *testing.T) {
	t.Parallel()
	n := 0
	tally := askInTurn(t.Context(), func(context.Context, string) (bool, error) {
		n++
		if n%4 == 0 {
			return true, assert.AnError
		}
		return n%2 == 0, nil
	}, []string{"a", "b"}, 1, 20)
	assert.EqualValues(t, 15, tally.Decisions)
	assert.EqualValues(t, 5, tally.Admitted)
	assert.EqualValues(t, 5, tally.Errors)
}

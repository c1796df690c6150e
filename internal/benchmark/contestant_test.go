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

// limitsTo asks a contestant 200 times for 5 keys: it must admit what the demand allows of each, and
// no more than its algorithm may.
func limitsTo(t *testing.T, s *server, c contestant, d demand) {
	t.Helper()
	require.NoError(t, s.empty(t.Context()))
	ask, end, err := c.open(t.Context(), s.place, d)
	require.NoError(t, err)
	defer end()
	keys := keyNames("user", 5)
	began := time.Now()
	tally := askInTurn(t.Context(), ask, keys, 1, 200)
	may := d.calls(c.admits, time.Since(began))
	assert.Zero(t, tally.Errors)
	assert.EqualValues(t, 200, tally.Decisions)
	if math.IsInf(may, 1) {
		assert.EqualValues(t, 200, tally.Admitted, "a floor does not limit")
		return
	}
	assert.GreaterOrEqual(t, float64(tally.Admitted), 5*d.calls(oncePerWindow, time.Second))
	assert.LessOrEqual(t, float64(tally.Admitted), 5*may)
}

// A limiter that does not limit would look fast.
func TestEveryContestantLimits(t *testing.T) {
	s := newServer(t)
	for _, c := range append(append(onRedis(), leased()), inMemory()...) {
		t.Run(c.name, func(t *testing.T) { limitsTo(t, s, c, one(quota{Max: 10, Window: time.Hour})) })
	}
}

// Whichever of the two is the narrower.
func TestEveryContestantLimitsTwice(t *testing.T) {
	s := newServer(t)
	for _, c := range onRedis() {
		t.Run(c.name, func(t *testing.T) {
			limitsTo(t, s, c, demand{Limits: []quota{{10, time.Hour}, {4, 2 * time.Hour}}})
			limitsTo(t, s, c, demand{Limits: []quota{{4, time.Hour}, {10, 2 * time.Hour}}})
		})
	}
}

func TestEveryContestantCountsCosts(t *testing.T) {
	s := newServer(t)
	found, leftOut := having(onRedis(), costs)
	assert.Equal(t, "Left out: mennanov/limiters (no call takes several units).", leftOut)
	for _, c := range found {
		t.Run(c.name, func(t *testing.T) { limitsTo(t, s, c, demand{Limits: []quota{{9, time.Hour}}, Cost: 3}) })
	}
}

func TestContestantsLimitInACluster(t *testing.T) {
	s, err := startCluster(t.Context(), clusterNodes)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.stop()) })
	found, leftOut := having(onRedis(), cluster)
	assert.Equal(t, "Left out: httprate-redis (it takes no client of a Cluster).", leftOut)
	for _, c := range found {
		t.Run(c.name, func(t *testing.T) { limitsTo(t, s, c, one(quota{Max: 10, Window: time.Hour})) })
	}
	ours, end, err := contestantsNamed(oursName)[0].open(t.Context(), s.place, one(perMinute))
	require.NoError(t, err)
	defer end()
	require.NoError(t, s.empty(t.Context()))
	askInTurn(t.Context(), ours, keyNames("user", 100), 1, 100)
	use, err := s.use(t.Context())
	require.NoError(t, err)
	assert.GreaterOrEqual(t, use.commands["zadd"], 100.0, "those of all nodes")
}

func TestNamesAreOfOneContestant(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range append(append(onRedis(), leased()), inMemory()...) {
		assert.False(t, seen[c.name], c.name)
		seen[c.name] = true
	}
	assert.Len(t, contestantsNamed(oursName, incrName, byHandName, rueidisLimiterName), 4, "the rows that others are compared with")
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

	d := demand{Limits: []quota{{10, time.Minute}, {5, time.Hour}}}
	assert.EqualValues(t, 5, d.calls(oncePerWindow, time.Second))
	d.Limits[1].Max, d.Cost = 50, 3
	assert.EqualValues(t, 3, d.calls(oncePerWindow, time.Second), "whole calls")
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

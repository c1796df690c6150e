package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// worstOf is the fullest window that an algorithm lets pass.
func worstOf(t *testing.T, name string, q quota, calls []time.Time) float64 {
	t.Helper()
	for _, a := range algorithms() {
		if a.name == name {
			admitted, err := admittedOf(a, q, calls)
			require.NoError(t, err)
			return worst(windowsOf(admitted, q))
		}
	}
	t.Fatalf("no algorithm is named %q", name)
	return 0
}

func TestOursIsNeverOverMax(t *testing.T) {
	t.Parallel()
	for _, q := range []quota{{100, time.Minute}, {1, time.Second}, {7, 3 * time.Second}, {1000, time.Hour}} {
		assert.InDelta(t, 1, worstOf(t, "ratelimit (MemoryStore)", q, edgeBurst(q)), 1e-9, "edge burst of %v: full, and no more", q)
		for seed := range uint64(20) {
			assert.LessOrEqual(t, worstOf(t, "ratelimit (MemoryStore)", q, randomTraffic(q, 20, seed)), 1.0, "%v, seed %d", q, seed)
		}
	}
}

func TestTheOthersAre(t *testing.T) {
	t.Parallel()
	q := quota{100, time.Minute}
	for _, name := range []string{"fixed window (reference)", "sliding counter (reference)", "GCRA (reference)"} {
		assert.Greater(t, worstOf(t, name, q, edgeBurst(q)), 1.5, name)
		assert.LessOrEqual(t, worstOf(t, name, q, edgeBurst(q)), 2.0, "%s: no algorithm is worse than that", name)
		assert.Greater(t, worstOf(t, name, q, randomTraffic(q, 200, 1)), 1.2, "%s: chance is enough", name)
	}
}

// The references are what their names say.
func TestReferencesAdmitMaxAtOnceAndLaterMore(t *testing.T) {
	t.Parallel()
	q := quota{10, 10 * time.Second}
	admitted := func(a algorithm, at ...time.Duration) (count int) {
		allow, err := a.open(q)
		require.NoError(t, err)
		for _, d := range at {
			ok, err := allow(begin.Add(d))
			require.NoError(t, err)
			if ok {
				count++
			}
		}
		return count
	}
	burst := make([]time.Duration, 30)
	for _, a := range algorithms() {
		assert.Equal(t, 10, admitted(a, burst...), a.name)
		for after, want := range map[time.Duration]int{
			time.Second - 1:      map[string]int{}[a.name],
			2 * time.Second:      map[string]int{"GCRA (reference)": 2}[a.name],
			10*time.Second - 1:   map[string]int{"GCRA (reference)": 9}[a.name],
			10 * time.Second:     map[string]int{"sliding counter (reference)": 0, "fixed window (reference)": 10, "GCRA (reference)": 10, "ratelimit (MemoryStore)": 10}[a.name],
			15 * time.Second:     map[string]int{"sliding counter (reference)": 5, "fixed window (reference)": 10, "GCRA (reference)": 10, "ratelimit (MemoryStore)": 10}[a.name],
			1000 * time.Second:   10,
			20*time.Second + 1e8: 10,
		} {
			calls := append([]time.Duration{}, burst...)
			for range 30 {
				calls = append(calls, after)
			}
			assert.Equal(t, 10+want, admitted(a, calls...), "%s after %v", a.name, after)
		}
	}
}

func TestAHitCountsForExactlyOneWindow(t *testing.T) {
	t.Parallel()
	q := quota{2, time.Second}
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	assert.Equal(t, []float64{0.5, 1, 1.5, 1, 0.5},
		windowsOf([]time.Time{at(0), at(time.Millisecond), at(time.Second - 1), at(time.Second + time.Millisecond), at(time.Minute)}, q))
	assert.Empty(t, windowsOf(nil, q))
	hits := []time.Time{at(0), at(time.Millisecond)}
	for after, want := range map[time.Duration]float64{0: 0.5, time.Millisecond: 1, time.Second - 1: 1, time.Second: 0.5, 2 * time.Second: 0} {
		assert.InDelta(t, want, shareAt(hits, q, at(after)), 0, after)
	}
	assert.Zero(t, worst(nil))
}

func TestTrafficIsInOrder(t *testing.T) {
	t.Parallel()
	q := quota{100, time.Minute}
	for _, traffic := range traffics(q) {
		require.Greater(t, len(traffic.calls), 1000, traffic.name)
		for i, at := range traffic.calls[1:] {
			require.False(t, at.Before(traffic.calls[i]), "%s, call %d", traffic.name, i)
		}
	}
	assert.Equal(t, randomTraffic(q, 3, 7), randomTraffic(q, 3, 7))
	assert.NotEqual(t, randomTraffic(q, 3, 7), randomTraffic(q, 3, 8))
}

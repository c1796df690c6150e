package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func firstFaults(seed uint64, n int) []fault {
	faults := newFaults(seed)
	var first []fault
	for range n {
		first = append(first, faults.next())
	}
	return first
}

func TestSameSeedSamePlan(t *testing.T) {
	t.Parallel()
	assert.Equal(t, planLimiters(7), planLimiters(7))
	assert.NotEqual(t, planLimiters(7), planLimiters(8))
	for i, f := range firstFaults(7, 50) {
		again := firstFaults(7, 50)[i]
		assert.Same(t, f.kind, again.kind)
		assert.Equal(t, []any{f.gap, f.length, f.target}, []any{again.gap, again.length, again.target})
	}
}

func TestEveryPlanIsSound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		names := map[string]bool{}
		for _, limits := range planLimiters(seed) {
			for _, limit := range limits {
				require.NoError(t, limit.Validate())
				assert.LessOrEqual(t, limit.Window, maxWindow)
				assert.False(t, names[limit.Name], "two limits share a log")
				names[limit.Name] = true
			}
			_, err := slidingwindow.New(&slidingwindow.RedisStore{}, limits...)
			require.NoError(t, err)
		}
	}
}

func TestEachFaultComesBeforeAnyComesTwice(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, f := range firstFaults(7, 3*len(faultKinds)) {
		seen[f.kind.name]++
		assert.GreaterOrEqual(t, f.length, f.kind.shortest)
		assert.LessOrEqual(t, f.length, f.kind.longest)
		assert.Less(t, f.length, 10*time.Second, "a failed reset may linger for %v", resetLinger)
	}
	for _, kind := range faultKinds {
		assert.Equal(t, 3, seen[kind.name], kind.name)
	}
}

package memory_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the first one empties no sync.Pool
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // no heap has 2^63 bytes
}

func TestFloodOfKeysKeepsTheHeapBounded(t *testing.T) {
	const maxKeys = 20_000
	store := newMemoryStore(t, memory.Config{MaxKeys: maxKeys})
	l := newLimiter(t, store, slidingwindow.PerHour(2))
	for range 2 {
		require.True(t, allow(t, l, "victim"))
	}
	require.False(t, allow(t, l, "victim"))

	before := heap()
	made := 0
	flood := func(keys int, pad string) int64 {
		for range keys {
			made++
			require.True(t, allow(t, l, fmt.Sprintf("2001:db8:%d::/56%s", made, pad)))
		}
		return (heap() - before) / int64(store.Keys())
	}
	full := flood(2*maxKeys, "")
	t.Logf("a full store of %d keys takes %d bytes for each", store.Keys(), full)
	assert.LessOrEqual(t, full, int64(500), "bytes for each key")
	later := flood(5*maxKeys, "")
	t.Logf("after 5 times as many keys more: %d", later)
	assert.LessOrEqual(t, later, full+100, "a store that is full grows no more")

	large := flood(200, strings.Repeat("x", 1<<20))
	t.Logf("after 200 keys of 1 MB: %d", large)
	assert.LessOrEqual(t, large, full+100, "a long key is not kept")

	assert.LessOrEqual(t, store.Keys(), maxKeys)
	assert.False(t, allow(t, l, "victim"), "no flood of other keys frees one that is refused")
	runtime.KeepAlive(store)
}

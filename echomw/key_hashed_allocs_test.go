//go:build !race

package echomw_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

// With the race detector a sync.Pool forgets some of what it is given, on purpose.
func TestHashedAllocatesOnlyTheKey(t *testing.T) {
	keyer := echomw.Hashed(secret, constant(strings.Repeat("k", 1000)))
	assert.LessOrEqual(t, testing.AllocsPerRun(200, func() { _, _ = keyer.Key(nil) }), 1.0)
}

package echomw_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// storedKey is the key that reaches the store: the limiter hashes one of more than 128
// bytes.
func storedKey(t testing.TB, keyer echomw.Keyer) string {
	t.Helper()
	key, err := keyer.Key(nil)
	require.NoError(t, err)
	store := &stubStore{decision: slidingwindow.NewDecision(1, slidingwindow.Status{Limit: api(1)})}
	_, err = newLimiterOn(t, store, api(1)).Allow(t.Context(), key)
	require.NoError(t, err)
	return store.key
}

// Parts of any length are legal. What the store gets is bounded, and differs where the
// parts do: on both sides of the bound, and at it.
func TestJoinedKeysNeverMeetInTheStore(t *testing.T) {
	seen := map[string][]string{}
	for _, size := range []int{1, 2, 40, 61, 62, 63, 64, 65, 124, 125, 126, 127, 128, 129, 200, 5000} {
		k := strings.Repeat("k", size)
		for _, given := range [][]string{
			{k, "c"},
			{k + "|b", "c"},
			{k, "b|c"},
			{k, "b", "c"},
			{k + `\`, "c"},
			{k, `\c`},
			{k + `\|b`, "c"},
			{k + `\`, "b", "c"},
			{k + "|", "b", "c"},
			{k + "|b|c"},
			{k + `\|c`},
			{k + `\\|c`},
			{"b|c", k},
			{"b", "c|" + k},
			{"b", "c", k},
			{k, k},
			{k + "|" + k},
		} {
			_, keyers := parts(given...)
			key := storedKey(t, echomw.Join(keyers...))
			assert.LessOrEqual(t, len(key), 135)
			assert.Nil(t, seen[key], "%q", given)
			seen[key] = given
		}
	}
	hash := storedKey(t, constant(strings.Repeat("k", 129)))
	assert.NotEqual(t, hash, storedKey(t, constant(hash)), "a key that looks like the hash of another")
}

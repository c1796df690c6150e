package integration_test

import (
	"crypto/sha512"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// hostileKeys are what a client may send to break out of its key, to be somebody else, or to
// cost much. No two are the same key.
func hostileKeys() []string {
	const megabyte = 1 << 20
	keys := []string{
		"{", "}", "{}", "}{", "{{", "}}", "}:", "{a}b", "a{b}c", "a}{b", "k}:x:{k", // hash tags
		"k", "k ", " k", "K", "k\x00", "\x00k", "\x00", "k\n", "k\r\n", "\r\nk", "\t", "\x7f", "\x1b[31mk", // what texts are cut and trimmed by
		"k\r\nFLUSHALL\r\n", "*1\r\n$8\r\nFLUSHALL\r\n", "$-1\r\n", "'); return redis.call('FLUSHALL') --", "${jndi:ldap://x}", // commands
		"%", "%7B", "%7b", "%25", "%257B", "%00", // what we escape with
		"\xff", "\xff\xfe", "\xc3\x28", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\ufffd", // no UTF-8, and what it is mistaken for
		"ключ", "é", "e\u0301", "\ufeffk", "k\u200b", "\u202ek", // the same to the eye
		"sha512:", "rl:{k}:api", ":", "::", "*", "?", "[a-z]", // names in Redis, and patterns
	}
	for _, size := range []int{128, 129, 4096, megabyte} {
		keys = append(keys, strings.Repeat("{", size), strings.Repeat("\x00", size), strings.Repeat("k", size), strings.Repeat("k", size-1)+"l")
	}
	// The name that a long key is given must not be one that a client can ask for.
	return append(keys, slidingHash(strings.Repeat("k", 129)), slidingHash(strings.Repeat("k", megabyte)))
}

// takesAnyKey checks that each has a quota of its own, which nothing else resets, that one
// command takes all its logs, and that Redis is none the worse for it.
func takesAnyKey(t *testing.T, d deployment) {
	limits := []slidingwindow.Limit{slidingwindow.PerHour(2), {Name: `a"} b{c}:`, Max: 2, Window: slidingwindow.PerDay(1).Window}}
	l := d.limiter(t, limits...)
	require.NoError(t, d.client.Do(t.Context(), d.client.B().Set().Key("witness").Value("here").Build()).Error())
	keys := hostileKeys()
	for round := range 2 {
		for _, key := range keys {
			taken := mustTake(t, l, key, 1)
			require.True(t, taken.Allowed, "%.40q", key)
			require.EqualValues(t, 1-round, taken.Remaining, "%.40q was counted for another key", key)
		}
	}
	for _, key := range keys {
		require.False(t, mustTake(t, l, key, 1).Allowed, "%.40q", key)
	}
	for _, key := range keys {
		require.NoError(t, l.Reset(t.Context(), key), "%.40q", key)
		taken := mustTake(t, l, key, 1)
		require.True(t, taken.Allowed, "%.40q", key)
		require.NoError(t, l.Refund(t.Context(), key, taken), "%.40q", key)
	}
	witness, err := d.client.Do(t.Context(), d.client.B().Get().Key("witness").Build()).ToString()
	require.NoError(t, err)
	assert.Equal(t, "here", witness, "no key became a command")

	for _, node := range d.client.Nodes() {
		requirePlainNames(t, node, d.prefix)
	}
}

// requirePlainNames checks that all names of a node can be read in a log or a terminal, and
// that none is long.
func requirePlainNames(t *testing.T, node rueidis.Client, prefix string) {
	t.Helper()
	names, err := node.Do(t.Context(), node.B().Keys().Pattern(prefix+":*").Build()).AsStrSlice()
	require.NoError(t, err)
	for _, name := range names {
		assert.NotRegexp(t, `[\x00-\x1f\x7f]`, name)
		assert.Less(t, len(name), 600, "bytes")
		assert.Equal(t, 1, strings.Count(strings.TrimSuffix(strings.TrimSuffix(name, "2-per-1h"), `a"} b{c}:`), "{"), name)
	}
}

// slidingHash is what package slidingwindow makes of a long key.
func slidingHash(key string) string {
	sum := sha512.Sum512([]byte(key))
	return "sha512:" + hex.EncodeToString(sum[:])
}

package slidingwindow_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestRedisKeys(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"10.0.0.1":          "rl:{10.0.0.1}:api",
		"2001:db8::/56":     "rl:{2001:db8::/56}:api",
		"a b":               "rl:{a b}:api",
		"{}":                "rl:{%7B%7D}:api",
		"}":                 "rl:{%7D}:api",
		"100%":              "rl:{100%25}:api",
		"a\r\nb\x00\x7f":    "rl:{a%0D%0Ab%00%7F}:api",
		"ключ":              "rl:{ключ}:api",
		"k}:api":            "rl:{k%7D:api}:api",
		"%7B":               "rl:{%257B}:api",
		"GET /users/:id|10": "rl:{GET /users/:id|10}:api",
	} {
		assert.Equal(t, want, slidingwindow.RedisKey("rl", slidingwindow.EscapeKey(key), "api"))
	}
}

func TestLongKeysAreHashed(t *testing.T) {
	t.Parallel()
	short := strings.Repeat("k", 128)
	assert.Equal(t, short, slidingwindow.BoundKey(short))
	long := slidingwindow.BoundKey(short + "k")
	assert.Len(t, long, 135)
	assert.NotEqual(t, long, slidingwindow.BoundKey(short+"l"))
	assert.Equal(t, long, slidingwindow.BoundKey(short+"k"))
	assert.NotContains(t, long, "kkkk")
}

// hashTag is what Redis hashes of a key to find its Cluster slot, by the rule of the
// Cluster specification.
func hashTag(key string) string {
	_, after, found := strings.Cut(key, "{")
	if tag, _, closed := strings.Cut(after, "}"); found && closed && tag != "" {
		return tag
	}
	return key
}

func FuzzRedisKey(f *testing.F) {
	for _, seed := range []string{"", "k", "{", "}", "%", "%7B", "{}", "}:{", "a}:b", "\x00", "\xff", strings.Repeat("k", 129), "sha512:"} {
		f.Add(seed, "k", "api", "a")
		f.Add("k", seed, "a}:b", "api")
	}
	f.Fuzz(func(t *testing.T, key1, key2, limit1, limit2 string) {
		if key1 == "" || key2 == "" {
			return // refused with ErrInvalidKey
		}
		name := func(key, limit string) string {
			return slidingwindow.RedisKey("rl", slidingwindow.EscapeKey(slidingwindow.BoundKey(key)), limit)
		}
		a, b := name(key1, limit1), name(key2, limit2)
		assert.Equal(t, key1 == key2 && limit1 == limit2, a == b, "%q and %q", a, b)
		assert.Equal(t, hashTag(name(key1, limit1)), hashTag(name(key1, limit2)), "one key, one slot")
		tag := hashTag(a)
		assert.NotEqual(t, a, tag, "%q has a hash tag", a)
		assert.LessOrEqual(t, len(tag), 3*135)
		for _, c := range []byte(tag) {
			assert.True(t, c >= ' ' && c != 0x7f, "%q has no control bytes", tag)
		}
	})
}

package echomw_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

func TestJoinReportsAllItsPartsWithTheirPosition(t *testing.T) {
	assertFaults(t,
		echomw.Join(
			echomw.KeyByRoute(),
			nil,
			echomw.KeyFunc(nil),
			echomw.Join(echomw.KeyByIP(0), echomw.KeyByIP(1), echomw.KeyByHeader(""))),
		"Join: part 1: Keyer is nil; allowed: a KeyFunc, or what KeyByIP and the other functions that return a Keyer make",
		"Join: part 2: KeyFunc is nil; allowed: a function that returns a key",
		"Join: part 3: Join: part 1: KeyByIP: ipv6Prefix is 1; allowed: 32 to 64 bits (0 stands for the default of 56)",
		"Join: part 3: Join: part 2: KeyByHeader: name is \"\"; allowed: the name of a header, such as \"X-API-Key\"")
}

func joined(t require.TestingT, parts ...string) string {
	keyers := make([]echomw.Keyer, len(parts))
	for i, part := range parts {
		keyers[i] = constant(part)
	}
	key, err := echomw.Join(keyers...).Key(nil)
	require.NoError(t, err)
	return key
}

func TestJoin(t *testing.T) {
	assert.Equal(t, `198.51.100.7|GET /users/:id`, joined(t, "198.51.100.7", "GET /users/:id"))
	assert.Equal(t, `a\|b|c`, joined(t, "a|b", "c"))
	assert.Equal(t, `a|b\|c`, joined(t, "a", "b|c"))
	assert.Equal(t, `a\\|b`, joined(t, `a\`, "b"))
	assert.Equal(t, `a\\\|b`, joined(t, `a\|b`))

	_, err := echomw.Join(constant("a"), constant("")).Key(nil)
	require.ErrorIs(t, err, echomw.ErrNoKey)
	unauthorized := echomw.KeyFunc(func(echo.Context) (string, error) { return "", echo.ErrUnauthorized })
	_, err = echomw.Join(constant("a"), unauthorized).Key(nil)
	assert.Same(t, echo.ErrUnauthorized, err, "the status survives")
}

func TestJoinKeepsItsParts(t *testing.T) {
	keyers := []echomw.Keyer{constant("a"), constant("b")}
	join := echomw.Join(keyers...)
	keyers[0] = nil
	key, err := join.Key(nil)
	require.NoError(t, err)
	assert.Equal(t, "a|b", key)
}

func TestJoinIsInjective(t *testing.T) {
	// Few letters, so that parts which differ only in where they end are common.
	parts := rapid.SliceOfN(rapid.StringMatching(`[a|\\]{1,4}`), 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		assert.Equal(t, slices.Equal(a, b), joined(t, a...) == joined(t, b...))
		// The same letters cut elsewhere.
		letters := strings.Join(a, "")
		cut := rapid.IntRange(1, len(letters)).Draw(t, "cut")
		if cut < len(letters) {
			c := []string{letters[:cut], letters[cut:]}
			assert.Equal(t, slices.Equal(a, c), joined(t, a...) == joined(t, c...))
		}
	})
}

func TestFaultsOfASharedPartAreItsOwn(t *testing.T) {
	bad := echomw.KeyByIP(1)
	const fault = "KeyByIP: ipv6Prefix is 1; allowed: 32 to 64 bits (0 stands for the default of 56)"
	assertFaults(t, echomw.Join(bad, bad), "Join: part 0: "+fault, "Join: part 1: "+fault)
	assertFaults(t, bad, fault)
}

package echomw_test

import (
	"bytes"
	"crypto/fips140"
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

var secret = []byte("a secret of tests")

func hashed(t require.TestingT, secret []byte, key string) string {
	hash, err := echomw.Hashed(secret, constant(key)).Key(nil)
	require.NoError(t, err)
	return hash
}

func TestHashed(t *testing.T) {
	// RFC 4231, sections 4.2, 4.5 and 4.8.
	for _, test := range []struct {
		secret    []byte
		key, want string
	}{
		{bytes.Repeat([]byte{0x0b}, 20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{bytes.Repeat([]byte{0xaa}, 20), strings.Repeat("\xdd", 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{
			bytes.Repeat([]byte{0xaa}, 131),
			"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
			"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
		},
	} {
		sum, err := hex.DecodeString(test.want)
		require.NoError(t, err)
		assert.Equal(t, base64.RawURLEncoding.EncodeToString(sum), hashed(t, test.secret, test.key))
	}

	keyer := echomw.Hashed(secret, echomw.KeyByHeader("X-API-Key"))
	seen := map[string]int{}
	for _, size := range []int{1, 2, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 512, 513, 10_000} {
		for _, last := range []string{"a", "b"} {
			value := strings.Repeat("k", size-1) + last
			key, err := keyOf(echo.New(), keyer, header("X-API-Key", value))
			require.NoError(t, err)
			assert.Len(t, key, 43)
			assert.Regexp(t, `^[A-Za-z0-9_-]*$`, key)
			assert.NotContains(t, seen, key, "%d bytes", size)
			seen[key] = size
			assert.Equal(t, hashed(t, secret, value), key, "and nothing is left of the keys before")
		}
	}
	assert.NotEqual(t, hashed(t, secret, "k"), hashed(t, []byte("another secret of tests"), "k"))
}

func TestHashedKeepsKeysOutOfTheStore(t *testing.T) {
	store := &stubStore{decision: slidingwindow.NewDecision(1, slidingwindow.Status{Limit: api(1)})}
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiterOn(t, store, api(1)),
		Key:     echomw.Join(echomw.Hashed(secret, echomw.KeyByHeader("X-API-Key")), echomw.KeyByRoute()),
	}))
	assert.Equal(t, 200, get(e, header("X-API-Key", "live_4711")).Code)
	assert.Equal(t, hashed(t, secret, "live_4711")+"|GET /users/:id", store.key)
}

func TestHashedReturnsErrorsAsTheyAre(t *testing.T) {
	_, err := echomw.Hashed(secret, failing(echo.ErrUnauthorized)).Key(nil)
	assert.Same(t, echo.ErrUnauthorized, err)
	key, err := echomw.Hashed(secret, constant("")).Key(nil)
	assert.Empty(t, key, "the hash of nothing is no key")
	require.ErrorIs(t, err, echomw.ErrNoKey)
}

func TestHashedKeepsItsSecret(t *testing.T) {
	mine := bytes.Clone(secret)
	keyer := echomw.Hashed(mine, constant("k"))
	clear(mine)
	key, err := keyer.Key(nil)
	require.NoError(t, err)
	assert.Equal(t, hashed(t, secret, "k"), key)
}

func TestBadArgumentsOfHashed(t *testing.T) {
	const short = "Hashed: secret is 15 bytes long; allowed: 16 bytes or more, best random ones"
	assertFaults(t, echomw.Hashed([]byte("hunter2-hunter2"), constant("k")), short)
	assertFaults(t, echomw.Hashed(nil, constant("k")), "Hashed: secret is 0 bytes long; allowed: 16 bytes or more, best random ones")
	assertFaults(t, echomw.Hashed([]byte("hunter2-hunter2"), echomw.Join(echomw.KeyByIP(1), nil)),
		short,
		"Hashed: Join: part 0: KeyByIP: ipv6Prefix is 1; allowed: 32 to 64 bits (0 stands for the default of 56)",
		"Hashed: Join: part 1: Keyer is nil; allowed: a KeyFunc, or what KeyByIP and the other functions that return a Keyer make")
	key, err := echomw.Hashed(secret[:16], constant("k")).Key(nil)
	require.NoError(t, err)
	assert.Len(t, key, 43)
}

func TestHashedIsSafeForConcurrentUse(t *testing.T) {
	keyer := echomw.Hashed(secret, echomw.KeyByQuery("k"))
	var wg sync.WaitGroup
	for _, key := range []string{"a", "b", strings.Repeat("c", 1000), strings.Repeat("d", 1000)} {
		want := hashed(t, secret, key)
		wg.Go(func() {
			for range 200 {
				got, err := keyOf(echo.New(), keyer, query("k="+key))
				if !assert.NoError(t, err) || !assert.Equal(t, want, got) {
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestHashedWhereOnlyFIPSAlgorithmsAreAllowed(t *testing.T) {
	const mode = "fips140=only"
	if os.Getenv("GODEBUG") == mode {
		assert.True(t, fips140.Enabled())
		TestHashed(t)
		return
	}
	program, err := os.Executable()
	require.NoError(t, err)
	again := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), "GODEBUG="+mode)
	output, err := again.CombinedOutput()
	require.NoError(t, err, "%s", output)
	assert.Contains(t, string(output), "--- PASS: "+t.Name())
}

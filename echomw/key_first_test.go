package echomw_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

func failing(err error) echomw.Keyer {
	return echomw.KeyFunc(func(echo.Context) (string, error) { return "", err })
}

func TestFirstOfCountsTheUserOrElseTheAddress(t *testing.T) {
	var seen error
	e := newEcho(authenticate, spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Key:     echomw.FirstOf(echomw.KeyByUser(userOf), echomw.KeyByIP(0)),
	}))
	assert.Equal(t, http.StatusOK, get(e, header("X-User", "alice")).Code)
	assert.Equal(t, http.StatusTooManyRequests, get(e, header("X-User", "alice"), from("203.0.113.1:1")).Code)
	assert.Equal(t, http.StatusOK, get(e, header("X-User", "198.51.100.7")).Code)
	assert.Equal(t, http.StatusOK, get(e).Code, "the user of that name is not the address")
	assert.Equal(t, http.StatusTooManyRequests, get(e).Code)

	assert.Equal(t, http.StatusForbidden, get(e, header("X-User", "Locked"), from("203.0.113.2:1")).Code)
	require.ErrorIs(t, seen, errLocked, "a failed lookup is no absence")

	assert.Equal(t, http.StatusForbidden, get(e, from("@")).Code)
	require.ErrorIs(t, seen, echomw.ErrNoKey)
	assert.ErrorContains(t, seen, "is not an IP address", "the last error")
}

func TestFirstOf(t *testing.T) {
	absent := failing(fmt.Errorf("no such thing: %w", echomw.ErrNoKey))
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		keys []echomw.Keyer
		key  string
		err  error
	}{
		"first":                   {[]echomw.Keyer{constant("a"), constant("b")}, "0:a", nil},
		"second":                  {[]echomw.Keyer{absent, constant("b")}, "1:b", nil},
		"empty is absent":         {[]echomw.Keyer{constant(""), absent, constant("c")}, "2:c", nil},
		"one":                     {[]echomw.Keyer{constant("1:a")}, "0:1:a", nil},
		"nested":                  {[]echomw.Keyer{absent, echomw.FirstOf(absent, constant("a"))}, "1:1:a", nil},
		"HTTP error of no key":    {[]echomw.Keyer{failing(echo.ErrUnauthorized.WithInternal(echomw.ErrNoKey)), constant("b")}, "1:b", nil},
		"none":                    {[]echomw.Keyer{constant("a"), absent}[1:], "", echomw.ErrNoKey},
		"last is empty":           {[]echomw.Keyer{constant("")}, "", echomw.ErrNoKey},
		"failure":                 {[]echomw.Keyer{failing(broken), constant("b")}, "", broken},
		"failure after absence":   {[]echomw.Keyer{absent, failing(broken), constant("c")}, "", broken},
		"wrong, and out of sight": {[]echomw.Keyer{struct{ echomw.Keyer }{echomw.KeyByIP(1)}, constant("b")}, "", echomw.ErrInvalidConfig},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := echomw.FirstOf(test.keys...).Key(nil)
			assert.Equal(t, test.key, key)
			require.ErrorIs(t, err, test.err)
		})
	}
	_, err := echomw.FirstOf(failing(echo.ErrForbidden), constant("b")).Key(nil)
	assert.Same(t, echo.ErrForbidden, err, "as it is")
}

// errors.Is would panic on it.
func TestFirstOfReturnsANilHTTPErrorAsItIs(t *testing.T) {
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Key:     echomw.FirstOf(failing((*echo.HTTPError)(nil)), constant("b")),
	}))
	assert.Equal(t, http.StatusForbidden, get(e).Code)
}

// A client that sends its key twice, or where only some readers see it, would otherwise
// be counted by its address, and what serves the request would still find the key.
func TestFirstOfStopsAtAKeyThatIsUnclear(t *testing.T) {
	for name, test := range map[string]struct {
		keyer  echomw.Keyer
		absent requestOption
		doubt  []requestOption
	}{
		"header": {echomw.KeyByHeader("X-API-Key"), header("X"), []requestOption{header("X-API-Key", "a", "a")}},
		"cookie": {echomw.KeyByCookie("session"), header("X"), []requestOption{header("Cookie", "session=a; session=a")}},
		"query":  {echomw.KeyByQuery("tenant"), query("x=1"), []requestOption{query("tenant=a&tenant=a")}},
		"form": {echomw.KeyByForm("email"), urlencoded("x=1"), []requestOption{
			urlencoded("email=a&email=a"), urlencoded("email=a&%zz"), query("email=a"), failingBody(http.ErrHandlerTimeout),
		}},
	} {
		keyer := echomw.FirstOf(test.keyer, constant("ip"))
		key, err := keyOf(echo.New(), keyer, test.absent)
		require.NoError(t, err, name)
		assert.Equal(t, "1:ip", key, name)
		for i, doubt := range test.doubt {
			key, err := keyOf(echo.New(), keyer, doubt)
			assert.Empty(t, key, "%s: %d", name, i)
			var httpError *echo.HTTPError
			require.ErrorAs(t, err, &httpError, "%s: %d", name, i)
			assert.Equal(t, http.StatusBadRequest, httpError.Code)
			require.ErrorIs(t, err, echomw.ErrNoKey)
		}
	}
}

func TestFirstOfKeepsItsParts(t *testing.T) {
	keyers := []echomw.Keyer{constant("a"), constant("b")}
	first := echomw.FirstOf(keyers...)
	keyers[0] = nil
	key, err := first.Key(nil)
	require.NoError(t, err)
	assert.Equal(t, "0:a", key)
}

func TestFirstOfReportsAllItsParts(t *testing.T) {
	assertFaults(t, echomw.FirstOf(), "FirstOf: keys is empty; allowed: one Keyer or more")
	assertFaults(t, echomw.Join(echomw.FirstOf(nil, echomw.KeyByRoute(), echomw.KeyByUser(nil))),
		"Join: part 0: FirstOf: part 0: Keyer is nil; allowed: a KeyFunc, or what KeyByIP and the other functions that return a Keyer make",
		"Join: part 0: FirstOf: part 2: KeyByUser: user is nil; allowed: a function that returns the user of a request")
}

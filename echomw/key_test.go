package echomw_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

// keyOf returns the key that keyer gives a request to the Echo instance.
func keyOf(e *echo.Echo, keyer echomw.Keyer, options ...requestOption) (string, error) {
	return keyer.Key(e.NewContext(request(options...), httptest.NewRecorder()))
}

func constant(key string) echomw.Keyer {
	return echomw.KeyFunc(func(echo.Context) (string, error) { return key, nil })
}

// configErrors are the faults that err is made of, as texts.
func configErrors(err error) []string {
	switch err := err.(type) { //nolint:errorlint // this walks the tree itself, to find all and not the first
	case *echomw.ConfigError:
		return []string{strings.TrimPrefix(err.Error(), "echomw: invalid configuration: ")}
	case interface{ Unwrap() error }:
		return configErrors(err.Unwrap())
	case interface{ Unwrap() []error }:
		var all []string
		for _, err := range err.Unwrap() {
			all = append(all, configErrors(err)...)
		}
		return all
	}
	return nil
}

// assertFaults expects that ToMiddleware reports the faults of a Keyer, each typed,
// and that no key comes out of it.
func assertFaults(t *testing.T, keyer echomw.Keyer, faults ...string) {
	t.Helper()
	middleware, err := echomw.Config{Limiter: newLimiter(t, newClock(), api(1)), Key: keyer}.ToMiddleware()
	assert.Nil(t, middleware)
	require.ErrorIs(t, err, echomw.ErrInvalidConfig)
	assert.Equal(t, faults, configErrors(err))
	assert.Len(t, strings.Split(err.Error(), "\n"), len(faults), "a line each")

	// ToMiddleware cannot look into a Keyer of the application.
	var seen error
	e := newEcho(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Key:     struct{ echomw.Keyer }{keyer},
	}))
	assert.Equal(t, http.StatusForbidden, get(e).Code)
	require.ErrorIs(t, seen, echomw.ErrNoKey)
	assert.Equal(t, faults, configErrors(seen))
}

func TestConfigError(t *testing.T) {
	_, err := echomw.Config{Limiter: newLimiter(t, newClock(), api(1)), Key: echomw.Join(echomw.KeyByIP(7))}.ToMiddleware()
	require.ErrorIs(t, err, echomw.ErrInvalidConfig)
	var fault *echomw.ConfigError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, &echomw.ConfigError{
		Field:   "Join: part 0: KeyByIP: ipv6Prefix",
		Given:   "7",
		Allowed: "32 to 64 bits (0 stands for the default of 56)",
	}, fault)
	assert.EqualError(t, fault, "echomw: invalid configuration: Join: part 0: KeyByIP: ipv6Prefix is 7; allowed: 32 to 64 bits (0 stands for the default of 56)")
	assert.NotErrorIs(t, fault, echomw.ErrNoKey)
}

func TestNilKeyFuncIsAnErrorOfToMiddleware(t *testing.T) {
	assertFaults(t, echomw.KeyFunc(nil), "KeyFunc is nil; allowed: a function that returns a key")
}

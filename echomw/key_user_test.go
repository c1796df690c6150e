package echomw_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

// authenticate stands for middleware that puts the user on the context.
func authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Set("user", c.Request().Header.Get("X-User"))
		return next(c)
	}
}

var errLocked = errors.New("the table of users is locked")

// userOf finds the user that authenticate has put there. The lookup of "Locked" fails.
func userOf(c echo.Context) (string, error) {
	user, _ := c.Get("user").(string)
	if user == "Locked" {
		return "", errLocked
	}
	return user, nil
}

func TestKeyByUser(t *testing.T) {
	var seen error
	e := newEcho(authenticate, spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		Key:     echomw.KeyByUser(userOf),
	}))
	assert.Equal(t, http.StatusOK, get(e, header("X-User", "alice")).Code)
	assert.Equal(t, http.StatusTooManyRequests, get(e, header("X-User", "alice"), from("203.0.113.1:1")).Code)
	assert.Equal(t, http.StatusOK, get(e, header("X-User", "bob")).Code)

	rec := get(e)
	assert.Equal(t, http.StatusForbidden, rec.Code)
	assert.JSONEq(t, `{"message":"Forbidden"}`, rec.Body.String())
	assert.Empty(t, rec.Header().Values("WWW-Authenticate"))
	require.ErrorIs(t, seen, echomw.ErrNoKey)
	assert.ErrorContains(t, seen, "it has no authenticated user")

	assert.Equal(t, http.StatusForbidden, get(e, header("X-User", "Locked")).Code)
	require.ErrorIs(t, seen, errLocked)

	assertFaults(t, echomw.KeyByUser(nil), "KeyByUser: user is nil; allowed: a function that returns the user of a request")
}

func TestKeyByUserReturnsTheErrorAsItIs(t *testing.T) {
	_, err := echomw.KeyByUser(func(echo.Context) (string, error) { return "alice", echo.ErrUnauthorized }).Key(nil)
	assert.Same(t, echo.ErrUnauthorized, err)
}

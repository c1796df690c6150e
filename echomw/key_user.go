package echomw

import (
	"fmt"

	"github.com/labstack/echo/v4"
)

// KeyByUser counts by the authenticated user, whom user finds on the context, where
// middleware that runs before the limiter has put it (a JWT, a session):
//
//	echomw.KeyByUser(func(c echo.Context) (string, error) {
//		id, _ := c.Get("user").(string)
//		return id, nil
//	})
//
// An empty user, with no error, is a request without one. It is refused with 403 and an
// error that matches [ErrNoKey]. It is not a 401, which has to tell in WWW-Authenticate how
// to authenticate (RFC 9110, section 15.5.2): only the middleware that authenticates
// knows, and it has let the request through. Count such requests by something else with
// [FirstOf]. An error of user is returned as it is; [Keyer] says what comes of it.
//
// user is called once for each request and must be safe for concurrent use. A nil one is
// an error of [Config.ToMiddleware].
func KeyByUser(user func(c echo.Context) (string, error)) Keyer {
	if user == nil {
		return badKey{{Field: "KeyByUser: user", Given: "nil", Allowed: "a function that returns the user of a request"}}
	}
	return userKey(user)
}

// errNoUser is made once: FirstOf passes it over for each request without a user.
var errNoUser = fmt.Errorf("%w: it has no authenticated user", ErrNoKey)

type userKey func(c echo.Context) (string, error)

func (user userKey) Key(c echo.Context) (string, error) {
	name, err := user(c)
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", errNoUser
	}
	return name, nil
}

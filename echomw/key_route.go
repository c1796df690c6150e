package echomw

import (
	"cmp"
	"net/http"

	"github.com/labstack/echo/v4"
)

const (
	unknownRoute = "(no route)"
	otherMethod  = "OTHER"
)

// KeyByRoute counts by route: the method and the pattern that the route was registered
// with, such as "GET /users/:id", so all URLs of one pattern share one quota. On its
// own it counts all clients together; [Join] it with another Keyer to count each.
//
// Nothing in the key is the client's to make up. A URL without a route has the key
// "GET (no route)", or that of the group that it falls into ("GET /api/*"), and a
// method that HTTP and Echo do not know is written as "OTHER".
//
// Each method is a quota of its own: a client of a route that serves several, as e.Any
// registers, has as many quotas as that. Take [KeyByPattern] there.
//
// Echo knows the route only after routing: with Echo.Pre no request has one. Routes of
// one pattern under several hosts share a key.
func KeyByRoute() Keyer { return routeKey{} }

type routeKey struct{}

func (routeKey) Key(c echo.Context) (string, error) {
	method := c.Request().Method
	if !isKnownMethod(method) {
		method = otherMethod
	}
	return method + " " + cmp.Or(c.Path(), unknownRoute), nil
}

// KeyByPattern counts by the pattern of the route alone, such as "/users/:id", so all methods
// share one quota. Take it where one handler serves several methods (e.Any, a proxy), and
// [KeyByRoute] where reading and writing should have quotas of their own. What
// KeyByRoute says of URLs without a route is true of it too.
func KeyByPattern() Keyer { return patternKey{} }

type patternKey struct{}

func (patternKey) Key(c echo.Context) (string, error) { return cmp.Or(c.Path(), unknownRoute), nil }

func isKnownMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace,
		echo.PROPFIND, echo.REPORT:
		return true
	}
	return false
}

package echomw

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// KeyByHeader counts by the value of a request header, such as "X-API-Key". The value
// must be there, once, and not be empty: otherwise the request is refused with 400 and
// an error that matches [ErrNoKey]. It is not taken from the first of several lines,
// because what checks the header afterwards may well take another.
//
// The client chooses the value. Use it for a header that is checked, by a proxy or by
// middleware that runs before the limiter; a client could otherwise have a new quota for
// each request. The value is taken as it is sent: where it is not case-sensitive, as
// addresses of e-mail are not, each spelling is a key. For a header that has an IP address
// take [KeyByIPHeader]. It is stored in Redis in clear,
// and who reads Redis reads it: keep a secret out with [Hashed].
//
// "Host" is the host that the request asks for, in the client's spelling: "A.example"
// and "a.example:80" are two keys.
//
// A name that is not the name of a header (a token of RFC 9110, section 5.6.2) is an
// error of [Config.ToMiddleware].
func KeyByHeader(name string) Keyer {
	if !isToken(name) {
		return badKey{{Field: "KeyByHeader: name", Given: shown(name, name), Allowed: `the name of a header, such as "X-API-Key"`}}
	}
	return requestKey{part: inHeader, name: name, stored: http.CanonicalHeaderKey(name)}
}

// KeyByCookie counts by the value of a cookie, such as "session". What [KeyByHeader]
// says of values, refusals and secrets is true of cookies too.
//
// A name that is not the name of a cookie (a token: RFC 6265, section 4.1.1) is an error
// of [Config.ToMiddleware].
func KeyByCookie(name string) Keyer {
	if !isToken(name) {
		return badKey{{Field: "KeyByCookie: name", Given: shown(name, name), Allowed: `the name of a cookie, such as "session"`}}
	}
	return requestKey{part: inCookie, name: name, stored: name}
}

// KeyByQuery counts by the value of a parameter of the URL's query: with the name
// "tenant", the key of /orders?tenant=acme is "acme". What [KeyByHeader] says of values,
// refusals and secrets is true of parameters too.
//
// A parameter whose name differs in the case of its letters only is a 400 as well, because
// Echo's Bind would take it.
//
// An empty name is an error of [Config.ToMiddleware].
func KeyByQuery(name string) Keyer {
	return namedKey("KeyByQuery", inQuery, name)
}

// KeyByParam counts by the value of a parameter of the route's path: with the name
// "id", the key of /users/7 on the route /users/:id is "7". "*" names what a route ends
// with: "a/b" is the key of /files/a/b on the route /files/*.
//
// What [KeyByHeader] says of values, refusals and secrets is true of parameters too, but
// that a percent-encoded value is decoded: "/users/%37" is "7". A route without the parameter gives no key, so its requests are refused with 400, and
// those to a URL without a route as well. So use it on the routes that have the parameter
// or on a group of them. With Echo.Pre no request has one.
//
// An empty name is an error of [Config.ToMiddleware].
func KeyByParam(name string) Keyer {
	return namedKey("KeyByParam", inPath, name)
}

func namedKey(function string, part requestPart, name string) Keyer {
	if name == "" {
		return badKey{{Field: function + ": name", Given: `""`, Allowed: "the name of a " + string(part)}}
	}
	return requestKey{part: part, name: name, stored: name}
}

// requestPart is where in a request a name has a value, as texts call it.
type requestPart string

const (
	inHeader requestPart = "header"
	inCookie requestPart = "cookie"
	inQuery  requestPart = "query parameter"
	inPath   requestPart = "path parameter"
	inForm   requestPart = "form field"
)

type requestKey struct {
	part   requestPart
	name   string // as the application writes it, for texts
	stored string // as net/http and Echo keep it
	watch  *watch // nil outside of a middleware
}

func (k requestKey) Key(c echo.Context) (string, error) {
	value, count, err := k.find(c)
	switch {
	case err != nil:
		return "", err
	case count > 1:
		return "", k.unclear(http.StatusBadRequest, "occurs more than once", nil)
	case value == "":
		return "", k.missing()
	}
	if k.part == inHeader {
		k.watch.header(value)
	}
	return value, nil
}

// find returns the first value and how many there are.
func (k requestKey) find(c echo.Context) (value string, count int, err error) {
	switch k.part {
	case inHeader:
		if k.stored == "Host" {
			// net/http takes it out of the headers, and refuses a second one.
			return c.Request().Host, 1, nil
		}
		value, count = first(c.Request().Header[k.stored])
	case inCookie:
		if cookies := c.Request().CookiesNamed(k.stored); len(cookies) > 0 {
			value, count = cookies[0].Value, len(cookies)
		}
	case inQuery:
		value, count = first(c.QueryParams()[k.stored])
		if hasOtherSpelling(c.QueryParams(), k.stored) {
			return "", 0, k.unclear(http.StatusBadRequest, "is there in another spelling", nil)
		}
	case inPath:
		for _, name := range c.ParamNames() {
			if name == k.stored {
				count++
			}
		}
		if value, err = pathParam(c, k.stored); err != nil {
			return "", 0, k.unclear(http.StatusBadRequest, "is not a valid part of a URL", err)
		}
	case inForm:
		return k.findInForm(c.Request())
	}
	return value, count, nil
}

// pathParam returns a path parameter without its percent-encoding, so that a client does not
// get a new key with another spelling. Echo hands out what it found in URL.RawPath, where
// net/http keeps a path that was encoded in an uncommon way.
func pathParam(c echo.Context, name string) (string, error) {
	if c.Request().URL.RawPath == "" {
		return c.Param(name), nil
	}
	return url.PathUnescape(c.Param(name))
}

// hasOtherSpelling tells whether there is a value of a name that differs in the case of its
// letters only. Echo's Bind takes it for the same.
func hasOtherSpelling(values url.Values, name string) bool {
	for other := range values {
		if other != name && strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

func first(values []string) (value string, count int) {
	if len(values) == 0 {
		return "", 0
	}
	return values[0], len(values)
}

// missing is the error for a value that is not there.
func (k requestKey) missing() error {
	text := string(k.part) + " " + k.name + " is missing"
	return &echo.HTTPError{Code: http.StatusBadRequest, Message: text, Internal: fmt.Errorf("%w: %s", ErrNoKey, text)}
}

// unclear is the error for a value that is there, or may be, but cannot be told.
func (k requestKey) unclear(status int, fault string, cause error) error {
	text := string(k.part) + " " + k.name + " " + fault
	return &echo.HTTPError{Code: status, Message: text, Internal: &unclearKey{text: text, cause: cause}}
}

// unclearKey is an [ErrNoKey] at which [FirstOf] stops: what serves the request may find
// a value where the limiter refused to choose one.
type unclearKey struct {
	text  string
	cause error // whose text may quote the request
}

func (e *unclearKey) Error() string        { return ErrNoKey.Error() + ": " + e.text }
func (e *unclearKey) Is(target error) bool { return target == ErrNoKey }
func (e *unclearKey) Unwrap() error        { return e.cause }

// isToken tells whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

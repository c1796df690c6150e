package echomw

import (
	"fmt"
	"net/http"
	"strconv"
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
// each request. The value is stored in Redis in clear, and who reads Redis reads it:
// for a secret, write a [KeyFunc] that returns a hash of it.
//
// "Host" is the host that the request asks for, in the client's spelling: "A.example"
// and "a.example:80" are two keys.
//
// A name that is not the name of a header (a token of RFC 9110, section 5.6.2) is an
// error of [Config.ToMiddleware].
func KeyByHeader(name string) Keyer {
	if !isFieldName(name) {
		return badKey{{Field: "KeyByHeader: name", Given: strconv.Quote(name), Allowed: `the name of a header, such as "X-API-Key"`}}
	}
	return headerKey{name: name, canonical: http.CanonicalHeaderKey(name)}
}

type headerKey struct {
	name      string // as the application writes it, for texts
	canonical string // as net/http keeps it
}

func (k headerKey) Key(c echo.Context) (string, error) {
	request := c.Request()
	if k.canonical == "Host" {
		// net/http takes it out of the headers, and refuses a second one.
		if request.Host == "" {
			return "", badHeader(k.name, "is missing")
		}
		return request.Host, nil
	}
	switch values := request.Header[k.canonical]; {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", badHeader(k.name, "is missing")
	case len(values) > 1:
		return "", badHeader(k.name, "occurs more than once")
	default:
		return values[0], nil
	}
}

func badHeader(name, fault string) *echo.HTTPError {
	text := "header " + name + " " + fault
	return &echo.HTTPError{Code: http.StatusBadRequest, Message: text, Internal: fmt.Errorf("%w: %s", ErrNoKey, text)}
}

// isFieldName tells whether s is a token (RFC 9110, section 5.6.2).
func isFieldName(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

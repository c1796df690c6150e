package httplimit

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// KeyByHeader makes the Keyer that adapters document under this name.
func (f *Framework[C]) KeyByHeader(name string) Keyer[C] {
	if !isToken(name) {
		return badKey[C]{faults{{Field: "KeyByHeader: name", Given: shown(name, name), Allowed: `the name of a header, such as "X-API-Key"`}}}
	}
	return requestKey[C]{f: f, part: inHeader, name: name, stored: http.CanonicalHeaderKey(name)}
}

// KeyByCookie makes the Keyer that adapters document under this name.
func (f *Framework[C]) KeyByCookie(name string) Keyer[C] {
	if !isToken(name) {
		return badKey[C]{faults{{Field: "KeyByCookie: name", Given: shown(name, name), Allowed: `the name of a cookie, such as "session"`}}}
	}
	return requestKey[C]{f: f, part: inCookie, name: name, stored: name}
}

// KeyByQuery makes the Keyer that adapters document under this name.
func (f *Framework[C]) KeyByQuery(name string) Keyer[C] {
	return f.namedKey("KeyByQuery", inQuery, name)
}

// KeyByParam makes the Keyer that adapters document under this name.
func (f *Framework[C]) KeyByParam(name string) Keyer[C] {
	return f.namedKey("KeyByParam", inPath, name)
}

func (f *Framework[C]) namedKey(function string, part requestPart, name string) Keyer[C] {
	if name == "" {
		return badKey[C]{faults{{Field: function + ": name", Given: `""`, Allowed: "the name of a " + string(part)}}}
	}
	return requestKey[C]{f: f, part: part, name: name, stored: name}
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

type requestKey[C any] struct {
	f      *Framework[C]
	part   requestPart
	name   string // as the application writes it, for texts
	stored string // as net/http and Echo keep it
	watch  *watch // nil outside of a middleware
}

func (k requestKey[C]) Key(c C) (string, error) {
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
func (k requestKey[C]) find(c C) (value string, count int, err error) {
	switch k.part {
	case inHeader:
		if k.stored == "Host" {
			// net/http takes it out of the headers, and refuses a second one.
			return k.f.Request(c).Host, 1, nil
		}
		value, count = first(k.f.Request(c).Header[k.stored])
	case inCookie:
		if cookies := k.f.Request(c).CookiesNamed(k.stored); len(cookies) > 0 {
			value, count = cookies[0].Value, len(cookies)
		}
	case inQuery:
		query := k.f.Query(c)
		value, count = first(query[k.stored])
		if hasOtherSpelling(query, k.stored) {
			return "", 0, k.unclear(http.StatusBadRequest, "is there in another spelling", nil)
		}
	case inPath:
		if value, count, err = k.f.Param(c, k.stored); err != nil {
			return "", 0, k.unclear(http.StatusBadRequest, "is not a valid part of a URL", err)
		}
	case inForm:
		return k.findInForm(k.f.Request(c))
	}
	return value, count, nil
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
func (k requestKey[C]) missing() error {
	text := string(k.part) + " " + k.name + " is missing"
	return k.f.HTTPError(http.StatusBadRequest, text, fmt.Errorf("%w: %s", ErrNoKey, text))
}

// unclear is the error for a value that is there, or may be, but cannot be determined.
func (k requestKey[C]) unclear(status int, fault string, cause error) error {
	text := string(k.part) + " " + k.name + " " + fault
	return k.f.HTTPError(status, text, &unclearKey{text: text, cause: cause})
}

// unclearKey is an [ErrNoKey] at which [FirstOf] stops: the handler of the request may find a value
// where the limiter refused to choose one.
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

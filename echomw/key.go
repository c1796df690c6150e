package echomw

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// Keyer names whom, or what, a request is counted against: requests of one key share
// one quota. Key is called once for each request, before the store is asked, and must be
// safe for concurrent use.
//
// A key may hold any bytes. The limiter replaces one of more than 128 bytes by a hash.
// An empty key is a failure that matches [ErrNoKey].
//
// An error refuses the request without counting it: with the status of the error if it
// is or wraps an [echo.HTTPError] of status 400 to 599, a 429 included, otherwise with
// 403, as Echo's own limiter does. So an HTTPError of status 200, or a nil one, opens no
// door.
type Keyer interface {
	Key(c echo.Context) (string, error)
}

// KeyFunc makes a function a [Keyer], as [net/http.HandlerFunc] makes one a handler:
//
//	KeyFunc: echomw.KeyFunc(func(c echo.Context) (string, error) { return tenant(c) })
//
// KeyFunc(nil) is an error of [Config.ToMiddleware].
type KeyFunc func(c echo.Context) (string, error)

// Key returns f(c), or an error that matches [ErrNoKey] if f is nil.
func (f KeyFunc) Key(c echo.Context) (string, error) {
	if f == nil {
		return badKey(faultsOf(f)).Key(c)
	}
	return f(c)
}

// badKey stands for arguments that make no Keyer: what is wrong with them, for
// [Config.ToMiddleware] to report. No key ever comes out of it, for a Keyer that an
// application wraps in its own is out of ToMiddleware's sight.
type badKey []error

func (faults badKey) Key(echo.Context) (string, error) {
	return "", fmt.Errorf("%w: %w", ErrNoKey, errors.Join(faults...))
}

// faultsOf returns all that is known to be wrong with a Keyer.
func faultsOf(key Keyer) []error {
	switch key := key.(type) {
	case nil:
		return []error{errors.New("Keyer is nil; allowed: a KeyFunc, KeyByIP, KeyByRoute, KeyByHeader or Join")}
	case KeyFunc:
		if key == nil {
			return []error{errors.New("KeyFunc is given a nil function; allowed: one that returns a key")}
		}
	case badKey:
		return key
	}
	return nil
}

const (
	// DefaultIPv6Prefix is how many bits of an IPv6 address [KeyByIP] keeps by default.
	DefaultIPv6Prefix = 56

	minIPv6Prefix = 32
	maxIPv6Prefix = 64

	unknownRoute = "(no route)"
	otherMethod  = "OTHER"
)

// KeyByIP counts by the IP address of the client: the one that Echo.IPExtractor gives
// if the application has set it, otherwise that of the TCP peer, and never a header.
// The Security section of the package says what follows from that.
//
// The key is an IPv4 address such as "198.51.100.7", or the first ipv6Prefix bits of an
// IPv6 address, such as "2001:db8:1234:ab00::/56". An address that is missing or is not
// an IP address gives an error that matches [ErrNoKey].
//
// ipv6Prefix is 32 to 64 bits; 0 stands for [DefaultIPv6Prefix] (56). Any other is an
// error of [Config.ToMiddleware].
func KeyByIP(ipv6Prefix int) Keyer {
	ipv6Prefix = cmp.Or(ipv6Prefix, DefaultIPv6Prefix)
	if ipv6Prefix < minIPv6Prefix || ipv6Prefix > maxIPv6Prefix {
		return badKey{fmt.Errorf("KeyByIP: ipv6Prefix is %d; allowed: %d to %d bits (0 stands for the default of %d)",
			ipv6Prefix, minIPv6Prefix, maxIPv6Prefix, DefaultIPv6Prefix)}
	}
	return ipKey{ipv6Prefix}
}

type ipKey struct{ ipv6Prefix int }

func (k ipKey) Key(c echo.Context) (string, error) {
	source, text := "the peer's address (http.Request.RemoteAddr)", c.Request().RemoteAddr
	if extract := c.Echo().IPExtractor; extract != nil {
		source, text = "what Echo.IPExtractor returned", extract(c.Request())
	}
	key, ok := addressKey(text, k.ipv6Prefix)
	if !ok {
		return "", fmt.Errorf("%w: %s is not an IP address; set Echo.IPExtractor to an extractor that fits the proxy in front, or Config.KeyFunc",
			ErrNoKey, source)
	}
	return key, nil
}

// KeyByRoute counts by route: the method and the pattern that the route was registered
// with, such as "GET /users/:id", so all URLs of one pattern share one quota. On its
// own it counts all clients together; [Join] it with another Keyer to count each.
//
// Nothing in the key is the client's to make up. A URL without a route has the key
// "GET (no route)", or that of the group that it falls into ("GET /api/*"), and a
// method that HTTP and Echo do not know is written as "OTHER".
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

func isKnownMethod(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace,
		echo.PROPFIND, echo.REPORT:
		return true
	}
	return false
}

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
		return badKey{fmt.Errorf("KeyByHeader: name is %q; allowed: the name of a header, such as \"X-API-Key\"", name)}
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

// Join counts by several things at once: Join(KeyByIP(0), KeyByRoute()) gives each
// client a quota of its own on each route, under keys like "198.51.100.7|GET /users/:id".
// In the parts "|" is written as "\|" and "\" as "\\", so different parts never make
// the same key.
//
// The first error of a part is returned as it is, and an empty part is one that
// matches [ErrNoKey]. Without a part, or with one that is nil or wrong itself, Join is an
// error of [Config.ToMiddleware], which counts the parts from 0.
func Join(keys ...Keyer) Keyer {
	if len(keys) == 0 {
		return badKey{errors.New("Join: no Keyer was given; allowed: one or more")}
	}
	var faults badKey
	for i, key := range keys {
		for _, fault := range faultsOf(key) {
			faults = append(faults, fmt.Errorf("Join: part %d: %w", i, fault))
		}
	}
	if faults != nil {
		return faults
	}
	return joinKey(slices.Clone(keys))
}

type joinKey []Keyer

func (keys joinKey) Key(c echo.Context) (string, error) {
	var buf [128]byte
	joined := buf[:0]
	for i, key := range keys {
		part, err := key.Key(c)
		if err != nil {
			return "", err
		}
		if part == "" {
			return "", fmt.Errorf("%w: part %d of a joined key is empty", ErrNoKey, i)
		}
		if i > 0 {
			joined = append(joined, '|')
		}
		joined = appendPart(joined, part)
	}
	return string(joined), nil
}

func appendPart(key []byte, part string) []byte {
	for i := range len(part) {
		if part[i] == '|' || part[i] == '\\' {
			key = append(key, '\\')
		}
		key = append(key, part[i])
	}
	return key
}

package echomw

import (
	"errors"
	"fmt"
	"strconv"

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
//	Key: echomw.KeyFunc(func(c echo.Context) (string, error) { return tenant(c) })
//
// KeyFunc(nil) is an error of [Config.ToMiddleware].
type KeyFunc func(c echo.Context) (string, error)

// Key returns f(c), or an error that matches [ErrNoKey] if f is nil.
func (f KeyFunc) Key(c echo.Context) (string, error) {
	if f == nil {
		return faultsIn(f).Key(c)
	}
	return f(c)
}

// badKey stands for arguments that make no Keyer: what is wrong with them, for
// [Config.ToMiddleware] to report. No key ever comes out of it, for a Keyer that an
// application wraps in its own is out of ToMiddleware's sight.
type badKey []*ConfigError

func (faults badKey) Key(echo.Context) (string, error) {
	return "", fmt.Errorf("%w: %w", ErrNoKey, errors.Join(faults.errors()...))
}

func (faults badKey) errors() []error {
	var errs []error
	for _, fault := range faults {
		errs = append(errs, fault)
	}
	return errs
}

// within returns the faults as those of a part of something larger. They are copies:
// one Keyer may be a part of several.
func (faults badKey) within(whole string) badKey {
	var moved badKey
	for _, fault := range faults {
		moved = append(moved, &ConfigError{Field: whole + ": " + fault.Field, Given: fault.Given, Allowed: fault.Allowed})
	}
	return moved
}

// faultsIn returns all that is known to be wrong with a Keyer.
func faultsIn(key Keyer) badKey {
	switch key := key.(type) {
	case nil:
		return badKey{{Field: "Keyer", Given: "nil", Allowed: "a KeyFunc, or what KeyByIP and the other functions that return a Keyer make"}}
	case KeyFunc:
		if key == nil {
			return badKey{{Field: "KeyFunc", Given: "nil", Allowed: "a function that returns a key"}}
		}
	case badKey:
		return key
	}
	return nil
}

// faultsInParts returns what is wrong with the parts of a Keyer that a function of this
// name makes of others.
func faultsInParts(function string, parts []Keyer) badKey {
	if len(parts) == 0 {
		return badKey{{Field: function + ": keys", Given: "empty", Allowed: "one Keyer or more"}}
	}
	var faults badKey
	for i, part := range parts {
		faults = append(faults, faultsIn(part).within(function+": part "+strconv.Itoa(i))...)
	}
	return faults
}

// faultsOf is faultsIn for those who join errors.
func faultsOf(key Keyer) []error { return faultsIn(key).errors() }

package httplimit

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
)

// Keyer names what a request is counted against. Key is called once for each request, before the
// store is asked, and is safe for concurrent use. An empty key is a failure that matches
// [ErrNoKey]; an error refuses the request without counting it.
type Keyer[C any] interface {
	Key(c C) (string, error)
}

// faults are what is wrong with the arguments of a function that makes a Keyer.
type faults []*ConfigError

func (f faults) errors() []error {
	var errs []error
	for _, fault := range f {
		errs = append(errs, fault)
	}
	return errs
}

// within returns the faults as those of a part of something larger. They are copies:
// one Keyer may be a part of several.
func (f faults) within(whole string) faults {
	var moved faults
	for _, fault := range f {
		moved = append(moved, &ConfigError{Field: whole + ": " + fault.Field, Given: fault.Given, Allowed: fault.Allowed})
	}
	return moved
}

// badKey stands for arguments that make no Keyer. It has what is wrong with them, for
// Config.Middleware to report. Its Key always fails, because Middleware does not see a Keyer that an
// application wraps in its own.
type badKey[C any] struct{ faults }

func (k badKey[C]) Key(C) (string, error) {
	return "", fmt.Errorf("%w: %w", ErrNoKey, errors.Join(k.errors()...))
}

// NilKeyFunc is the key of a KeyFunc that is nil: an error.
func NilKeyFunc() (string, error) { return badKey[struct{}]{nilKeyFunc}.Key(struct{}{}) }

var nilKeyFunc = faults{{Field: "KeyFunc", Given: "nil", Allowed: "a function that returns a key"}}

// faultsIn returns all that is known to be wrong with a Keyer.
func faultsIn[C any](key Keyer[C]) faults {
	if key == nil {
		return faults{{Field: "Keyer", Given: "nil", Allowed: "a KeyFunc, or what KeyByIP and the other functions that return a Keyer make"}}
	}
	if bad, ok := key.(badKey[C]); ok {
		return bad.faults
	}
	if v := reflect.ValueOf(key); v.Kind() == reflect.Func && v.IsNil() {
		return nilKeyFunc
	}
	return nil
}

// faultsInParts returns what is wrong with the parts of a Keyer that the function of this name
// makes from other Keyers.
func faultsInParts[C any](function string, parts []Keyer[C]) faults {
	if len(parts) == 0 {
		return faults{{Field: function + ": keys", Given: "empty", Allowed: "one Keyer or more"}}
	}
	var faults faults
	for i, part := range parts {
		faults = append(faults, faultsIn(part).within(function+": part "+strconv.Itoa(i))...)
	}
	return faults
}

// KeyByUser makes the Keyer that adapters document under this name.
func KeyByUser[C any](user func(c C) (string, error)) Keyer[C] {
	if user == nil {
		return badKey[C]{faults{{Field: "KeyByUser: user", Given: "nil", Allowed: "a function that returns the user of a request"}}}
	}
	return userKey[C](user)
}

// errNoUser is made once, because FirstOf gets it for each request without a user.
var errNoUser = fmt.Errorf("%w: it has no authenticated user", ErrNoKey)

type userKey[C any] func(c C) (string, error)

func (user userKey[C]) Key(c C) (string, error) {
	name, err := user(c)
	if err != nil {
		return "", err
	}
	if name == "" {
		return "", errNoUser
	}
	return name, nil
}

package echomw

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"
)

// FirstOf counts by the first of several things that the request has: the user, or else
// the IP address.
//
//	echomw.FirstOf(echomw.KeyByUser(user), echomw.KeyByIP(0))
//
// The key begins with the number of its part, counted from 0, as in "0:alice" and
// "1:198.51.100.7": a user who is named like an address does not share its quota.
//
// A part whose error matches [ErrNoKey], or whose key is empty, is passed over. Any other
// error, such as that of a lookup that failed, is returned as it is. So is that of a value
// which [KeyByHeader] and the like found more than once or could not read, though it matches
// ErrNoKey: a client that sends its key twice is not to be counted as one that has none. If
// no part has a key, the last part's error is returned.
//
// A client chooses which part it is counted by, where it chooses what it sends. With an API
// key that nobody has checked, each made-up one is a new quota: authenticate before the
// limiter.
//
// Without a part, or with one that is nil or wrong itself, FirstOf is an error of
// [Config.ToMiddleware].
func FirstOf(keys ...Keyer) Keyer {
	if faults := faultsInParts("FirstOf", keys); faults != nil {
		return faults
	}
	return firstKey(slices.Clone(keys))
}

type firstKey []Keyer

func (keys firstKey) Key(c echo.Context) (string, error) {
	var last error
	for i, part := range keys {
		key, err := part.Key(c)
		switch {
		case err == nil && key == "":
			last = fmt.Errorf("%w: part %d of FirstOf is empty", ErrNoKey, i)
		case err == nil:
			return strconv.Itoa(i) + ":" + key, nil
		case !isAbsent(err):
			return "", err
		default:
			last = err
		}
	}
	return "", last
}

// isAbsent tells whether err says that the request has no such key, and not that the
// Keyer is wrong, that it failed, or that it would not choose.
func isAbsent(err error) bool {
	if holdsNilHTTPError(err) {
		return false // errors.Is would panic on it
	}
	var unclear *unclearKey
	return errors.Is(err, ErrNoKey) && !errors.Is(err, ErrInvalidConfig) && !errors.As(err, &unclear)
}

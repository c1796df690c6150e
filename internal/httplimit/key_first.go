package httplimit

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// FirstOf makes the Keyer that adapters document under this name.
func FirstOf[C any](keys []Keyer[C]) Keyer[C] {
	if faults := faultsInParts("FirstOf", keys); faults != nil {
		return badKey[C]{faults}
	}
	return firstKey[C](slices.Clone(keys))
}

type firstKey[C any] []Keyer[C]

func (keys firstKey[C]) Key(c C) (string, error) {
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
	if holdsNil(err) {
		return false // errors.Is would panic on it
	}
	var unclear *unclearKey
	return errors.Is(err, ErrNoKey) && !errors.Is(err, ErrInvalidConfig) && !errors.As(err, &unclear)
}

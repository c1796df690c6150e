package httplimit

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Join makes the Keyer that adapters document under this name.
func Join[C any](keys []Keyer[C]) Keyer[C] {
	if faults := faultsInParts("Join", keys); faults != nil {
		return badKey[C]{faults}
	}
	return joinKey[C](slices.Clone(keys))
}

type joinKey[C any] []Keyer[C]

func (keys joinKey[C]) Key(c C) (string, error) {
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
	if HoldsNil(err) {
		return false // errors.Is would panic on it
	}
	var unclear *unclearKey
	return errors.Is(err, ErrNoKey) && !errors.Is(err, ErrInvalidConfig) && !errors.As(err, &unclear)
}

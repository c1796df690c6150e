package echomw

import (
	"fmt"
	"slices"

	"github.com/labstack/echo/v4"
)

// Join counts by several things at once: Join(KeyByIP(0), KeyByRoute()) gives each
// client a quota of its own on each route, under keys like "198.51.100.7|GET /users/:id".
// In the parts "|" is written as "\|" and "\" as "\\", so different parts never make
// the same key.
//
// The first error of a part is returned as it is, and an empty part is one that
// matches [ErrNoKey]. Without a part, or with one that is nil or wrong itself, Join is an
// error of [Config.ToMiddleware], which counts the parts from 0.
func Join(keys ...Keyer) Keyer {
	if faults := faultsInParts("Join", keys); faults != nil {
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

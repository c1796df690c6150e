package httplimit

import (
	"fmt"
	"slices"
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

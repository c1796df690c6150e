package slidingwindow

import (
	"crypto/sha512"
	"encoding/hex"
)

const maxKeyBytes = 128

// boundKey replaces a key of more than maxKeyBytes by a hash of it. The hash is
// longer than any key that is kept as it is, so the two never meet.
func boundKey(key string) string {
	if len(key) <= maxKeyBytes {
		return key
	}
	sum := sha512.Sum512([]byte(key))
	return "sha512:" + hex.EncodeToString(sum[:])
}

// redisKey is the name of a log in Redis: <prefix>:{<key>}:<limit name>. The braces
// make all logs of a key hash to one Cluster slot. The key is escaped so that it has
// no braces of its own, and the prefix may have none, so two different (key, limit)
// pairs never make the same name.
func redisKey(prefix, escapedKey, limitName string) string {
	return prefix + ":{" + escapedKey + "}:" + limitName
}

// escapeKey writes braces, the percent sign and control bytes as %XX. An empty hash
// tag, or one that begins with a closing brace, is no hash tag to Redis: logs of one
// key would spread over slots.
func escapeKey(key string) string {
	const hexDigits = "0123456789ABCDEF"
	escapes := 0
	for i := range len(key) {
		if mustEscape(key[i]) {
			escapes++
		}
	}
	if escapes == 0 {
		return key
	}
	buf := make([]byte, 0, len(key)+2*escapes)
	for i := range len(key) {
		if c := key[i]; mustEscape(c) {
			buf = append(buf, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			buf = append(buf, c)
		}
	}
	return string(buf)
}

func mustEscape(c byte) bool {
	return c < ' ' || c == 0x7f || c == '%' || c == '{' || c == '}'
}

package slidingwindow

import (
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
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

// hashKey finds a [Decision] that is settled with the wrong key by mistake. Texts of Decisions
// hold the hash, so it must stay the same in every release; that of hash/maphash is another one
// in each process. It is made for each allowed call, so it must be fast: FNV takes three times
// as long and SHA-256 ten times. It has 32 bits: more would help nobody but who guesses keys.
func hashKey(key string) uint32 {
	hash := uint64(len(key))
	for ; len(key) >= 8; key = key[8:] {
		hash = mix(hash ^ binary.LittleEndian.Uint64([]byte(key[:8]))) // copies nothing
	}
	var last uint64
	for i := range len(key) {
		last = last<<8 | uint64(key[i])
	}
	return uint32(mix(mix(hash^last)) >> 32) //nolint:gosec // half of it
}

// mix spreads each bit of x over all of the result.
func mix(x uint64) uint64 {
	high, low := bits.Mul64(x^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	return high ^ low
}

package echomw

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"sync"

	"github.com/labstack/echo/v4"
)

// minSecretBytes is the shortest secret of [Hashed]: 128 bits. FIPS 140 demands 112.
const minSecretBytes = 16

// hashedBytes is the length of a key of [Hashed].
const hashedBytes = 43 // base64.RawURLEncoding.EncodedLen(sha256.Size)

// Hashed counts by a hash of another Keyer's key, so that API keys and addresses of
// e-mail reach neither the store nor a log in clear:
//
//	echomw.Hashed(secret, echomw.KeyByHeader("X-API-Key"))
//
// The hash is HMAC-SHA-256 (RFC 2104) in base64url without padding (RFC 4648, section 5):
// 43 characters, whatever the length of the key. Without the secret, who reads the
// store cannot even try out which key is meant. Instances that share quotas must have the
// same secret; a new one gives every key a new quota.
//
// secret is 16 bytes or more, best random ones, and is copied. A shorter one, or a key
// that is nil or wrong itself, is an error of [Config.ToMiddleware]. Errors of the Keyer
// are returned as they are, and an empty key is one that matches [ErrNoKey].
//
// It works where only FIPS 140 algorithms may be used (GODEBUG=fips140=only).
func Hashed(secret []byte, key Keyer) Keyer {
	var faults badKey
	if fault := secretFault("Hashed: secret", secret); fault != nil {
		faults = append(faults, fault)
	}
	if faults = append(faults, faultsIn(key).within("Hashed")...); faults != nil {
		return faults
	}
	secret = slices.Clone(secret)
	return &hashedKey{key: key, hashers: &sync.Pool{New: func() any {
		return &hasher{mac: hmac.New(sha256.New, secret)}
	}}}
}

func secretFault(field string, secret []byte) *ConfigError {
	if len(secret) >= minSecretBytes {
		return nil
	}
	return &ConfigError{
		Field:   field,
		Given:   strconv.Itoa(len(secret)) + " bytes long",
		Allowed: strconv.Itoa(minSecretBytes) + " bytes or more, best random ones",
	}
}

type hashedKey struct {
	key     Keyer
	hashers *sync.Pool // of *hasher, because a new HMAC hashes the secret twice
}

func (k *hashedKey) Key(c echo.Context) (string, error) {
	key, err := k.key.Key(c)
	if err != nil {
		return "", err
	}
	if key == "" {
		return "", fmt.Errorf("%w: the key to hash is empty", ErrNoKey)
	}
	h := k.hashers.Get().(*hasher)
	defer k.hashers.Put(h)
	return h.hash(key), nil
}

// hasher is an HMAC with the memory that it takes to hash a key.
type hasher struct {
	mac  hash.Hash
	key  [256]byte // a part of the key: a hash.Hash takes no string
	sum  [sha256.Size]byte
	text [hashedBytes]byte
}

func (h *hasher) hash(key string) string {
	h.mac.Reset()
	for len(key) > 0 {
		n := copy(h.key[:], key)
		h.mac.Write(h.key[:n])
		key = key[n:]
	}
	base64.RawURLEncoding.Encode(h.text[:], h.mac.Sum(h.sum[:0]))
	return string(h.text[:])
}

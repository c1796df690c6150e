package httplimit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"sync"
)

// minSecretBytes is the shortest secret of [Hashed]: 128 bits. FIPS 140 demands 112.
const minSecretBytes = 16

// hashedBytes is the length of a key of [Hashed].
const hashedBytes = 43 // base64.RawURLEncoding.EncodedLen(sha256.Size)

// Hashed makes the Keyer that adapters document under this name.
func Hashed[C any](secret []byte, key Keyer[C]) Keyer[C] {
	var faults faults
	if fault := secretFault("Hashed: secret", secret); fault != nil {
		faults = append(faults, fault)
	}
	if faults = append(faults, faultsIn(key).within("Hashed")...); faults != nil {
		return badKey[C]{faults}
	}
	secret = slices.Clone(secret)
	return &hashedKey[C]{key: key, hashers: &sync.Pool{New: func() any {
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

type hashedKey[C any] struct {
	key     Keyer[C]
	hashers *sync.Pool // of *hasher, because a new HMAC hashes the secret twice
}

func (k *hashedKey[C]) Key(c C) (string, error) {
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

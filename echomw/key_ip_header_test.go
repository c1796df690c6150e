package echomw_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

func TestAddressInAHeaderIsOneClient(t *testing.T) {
	key, err := echomw.ParseKey("ip:header:CF-Connecting-IP", echomw.KeyOptions{IPv6Prefix: 64})
	require.NoError(t, err)
	spellings := []string{"198.51.100.7", "::ffff:198.51.100.7", "::ffff:c633:6407", "198.51.100.7:4711", "[::ffff:198.51.100.7]:80", "64:ff9b::198.51.100.7", "::FFFF:198.51.100.7"}
	networks := make([]string, 20)
	for i := range networks {
		networks[i] = fmt.Sprintf("2001:db8:0:7::%x", i+1)
	}
	for _, client := range [][]string{spellings, networks} {
		limiter := newLimiter(t, newClock(), api(1))
		e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{Limiter: limiter, Key: key}))
		for i, address := range client {
			want := map[bool]int{true: 200, false: 429}[i == 0]
			assert.Equal(t, want, get(e, header("CF-Connecting-IP", address)).Code, address)
		}
		assert.Equal(t, 200, get(e, header("CF-Connecting-IP", "2001:db8:0:8::1")).Code, "another network")
	}
}

func TestHeaderWithoutOneAddressIsRefused(t *testing.T) {
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{Limiter: newLimiter(t, newClock(), api(1)), Key: echomw.KeyByIPHeader("X-Client", 0)}))
	for text, options := range map[string]requestOption{
		"is missing":             header("X-Other", "198.51.100.7"),
		"occurs more than once":  header("X-Client", "198.51.100.7", "198.51.100.7"),
		"is not an IP address":   header("X-Client", "somebody"),
		"is not an IP address  ": header("X-Client", "198.51.100.7, 192.0.2.1"),
	} {
		rec := get(e, options)
		assert.Equal(t, 400, rec.Code)
		assert.Contains(t, text, decodeJSON(t, rec)["message"].(string)[len("header X-Client "):])
	}
}

func TestBadKeyByIPHeader(t *testing.T) {
	_, err := echomw.Config{Limiter: newLimiter(t, newClock(), api(1)), Key: echomw.KeyByIPHeader("X Client", 128)}.ToMiddleware()
	assert.EqualError(t, err, `echomw: invalid configuration: KeyByIPHeader: KeyByHeader: name is "X Client"; allowed: the name of a header, such as "X-API-Key"
echomw: invalid configuration: KeyByIPHeader: ipv6Prefix is 128; allowed: 32 to 64 bits (0 stands for the default of 56)`)
	for _, text := range []string{"ip:header:", "ip:header: X", "ip:cookie:x", "ip:"} {
		_, err := echomw.ParseKey(text, echomw.KeyOptions{})
		assert.ErrorIs(t, err, echomw.ErrInvalidConfig, text)
	}
}

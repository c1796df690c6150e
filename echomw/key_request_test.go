package echomw_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
)

func TestKeyByHeader(t *testing.T) {
	var seen error
	e := newEcho(spy(&seen), echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		KeyFunc: echomw.KeyByHeader("x-api-key"),
	}))
	assert.Equal(t, http.StatusOK, get(e, header("X-API-Key", "a")).Code)
	assert.Equal(t, http.StatusTooManyRequests, get(e, header("X-API-Key", "a"), from("203.0.113.1:1")).Code)
	assert.Equal(t, http.StatusOK, get(e, header("X-API-Key", "b")).Code)

	for name, test := range map[string]struct {
		option requestOption
		text   string
	}{
		"missing":  {func(*http.Request) {}, "header x-api-key is missing"},
		"no value": {header("X-API-Key"), "header x-api-key is missing"},
		"empty":    {header("X-API-Key", ""), "header x-api-key is missing"},
		"twice":    {header("X-API-Key", "made-up-1", "a"), "header x-api-key occurs more than once"},
	} {
		rec := get(e, test.option)
		assert.Equal(t, http.StatusBadRequest, rec.Code, name)
		assert.JSONEq(t, `{"message":"`+test.text+`"}`, rec.Body.String(), name)
		require.ErrorIs(t, seen, echomw.ErrNoKey, name)
		assert.NotContains(t, seen.Error(), "made-up", name)
	}
}

func TestKeyByHeaderHost(t *testing.T) {
	host := func(name string) requestOption { return func(r *http.Request) { r.Host = name } }
	e := newEcho(echomw.RateLimiterWithConfig(echomw.Config{
		Limiter: newLimiter(t, newClock(), api(1)),
		KeyFunc: echomw.KeyByHeader("host"),
	}))
	assert.Equal(t, http.StatusOK, get(e, host("a.example")).Code)
	assert.Equal(t, http.StatusTooManyRequests, get(e, host("a.example"), from("203.0.113.1:1")).Code)
	assert.Equal(t, http.StatusOK, get(e, host("b.example")).Code)
	rec := get(e, host(""))
	assert.Equal(t, http.StatusBadRequest, rec.Code)
	assert.JSONEq(t, `{"message":"header host is missing"}`, rec.Body.String())
}

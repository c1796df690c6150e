package echomw_test

import (
	"encoding/json"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

type namedBytes []byte

func TestBadConfigIsAnErrorAtStartUp(t *testing.T) {
	limiter := newLimiter(t, newClock(), api(1))
	for name, test := range map[string]struct {
		config echomw.Config
		faults []string
	}{
		"no limiter": {echomw.Config{}, []string{
			"echomw: Config.Limiter is nil; allowed: a limiter from slidingwindow.New",
		}},
		"limiter not from New": {echomw.Config{Limiter: &slidingwindow.Limiter{}}, []string{
			"echomw: Config.Limiter has no limits; allowed: a limiter from slidingwindow.New",
		}},
		"message of bytes": {echomw.Config{Limiter: limiter, Message: []byte(`{}`)}, []string{
			"echomw: Config.Message is bytes ([]uint8), which JSON encodes in base64; allowed: a string, a json.RawMessage or another value that encodes as JSON",
		}},
		"message of bytes, named":   {echomw.Config{Limiter: limiter, Message: namedBytes(`{}`)}, []string{"echomw: Config.Message is bytes (echomw_test.namedBytes), "}},
		"message of bytes, pointer": {echomw.Config{Limiter: limiter, Message: &[]byte{'{', '}'}}, []string{"echomw: Config.Message is bytes (*[]uint8), "}},
		"message of a nil pointer": {echomw.Config{Limiter: limiter, Message: (*echo.HTTPError)(nil)}, []string{
			"echomw: Config.Message is a *echo.HTTPError that holds nothing: JSON encodes it as null; allowed: nil for the default body, or a value that encodes as more than null",
		}},
		"message of a nil map":         {echomw.Config{Limiter: limiter, Message: echo.Map(nil)}, []string{"echomw: Config.Message is a echo.Map that holds nothing: "}},
		"message of a nil raw message": {echomw.Config{Limiter: limiter, Message: json.RawMessage(nil)}, []string{"echomw: Config.Message is a json.RawMessage that holds nothing: "}},
		"all at once": {echomw.Config{Message: make(chan int), KeyFunc: echomw.Join(echomw.KeyByIP(128), nil)}, []string{
			"echomw: Config.Limiter is nil; allowed: a limiter from slidingwindow.New",
			"Join: part 0: KeyByIP: ipv6Prefix is 128; allowed: 32 to 64 bits (0 stands for the default of 56)",
			"Join: part 1: Keyer is nil; ",
			"echomw: Config.Message is a chan int; allowed: a value that encodes as JSON: json: unsupported type: chan int",
		}},
		"raw message that is no JSON": {echomw.Config{Limiter: limiter, Message: json.RawMessage("{")}, []string{
			"echomw: Config.Message is a json.RawMessage; allowed: a value that encodes as JSON: ",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			middleware, err := test.config.ToMiddleware()
			require.Error(t, err)
			assert.Nil(t, middleware)
			for _, fault := range test.faults {
				assert.Contains(t, err.Error(), fault)
			}
			assert.PanicsWithError(t, err.Error(), func() { echomw.RateLimiterWithConfig(test.config) })
		})
	}
}

func TestRateLimiterPanicsWithoutALimiter(t *testing.T) {
	assert.PanicsWithError(t, "echomw: Config.Limiter is nil; allowed: a limiter from slidingwindow.New", func() {
		echomw.RateLimiter(nil)
	})
}

func TestToMiddlewareLeavesTheConfigAlone(t *testing.T) {
	config := echomw.Config{Limiter: newLimiter(t, newClock(), api(1))}
	middleware, err := config.ToMiddleware()
	require.NoError(t, err)
	assert.Nil(t, config.Skipper)
	assert.Nil(t, config.KeyFunc)

	config.Limiter = nil // and the middleware has a copy
	assert.Equal(t, 200, get(newEcho(middleware)).Code)
}

func TestDefaultConfigIsComplete(t *testing.T) {
	config := echomw.DefaultConfig
	assert.NotNil(t, config.Skipper)
	assert.NotNil(t, config.KeyFunc)
	config.Limiter = newLimiter(t, newClock(), api(1))
	e := newEcho(echomw.RateLimiterWithConfig(config))
	assert.Equal(t, 200, get(e).Code)
	assert.Equal(t, 429, get(e, header("X-Forwarded-For", "203.0.113.1")).Code)
}

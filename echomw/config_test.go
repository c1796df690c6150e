package echomw_test

import (
	"encoding/json"
	"math"
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
			"echomw: invalid configuration: Config.Limiter is nil; allowed: a limiter from slidingwindow.New",
		}},
		"limiter not from New": {echomw.Config{Limiter: &slidingwindow.Limiter{}}, []string{
			"echomw: invalid configuration: Config.Limiter is one without limits; allowed: a limiter from slidingwindow.New",
		}},
		"message of bytes": {echomw.Config{Limiter: limiter, Message: []byte(`{}`)}, []string{
			"echomw: invalid configuration: Config.Message is bytes ([]uint8), which JSON encodes in base64; allowed: a string, a json.RawMessage, an echomw.MessageFunc or another value that encodes as JSON",
		}},
		"message of bytes, named":   {echomw.Config{Limiter: limiter, Message: namedBytes(`{}`)}, []string{"echomw: invalid configuration: Config.Message is bytes (echomw_test.namedBytes), which "}},
		"message of bytes, pointer": {echomw.Config{Limiter: limiter, Message: &[]byte{'{', '}'}}, []string{"echomw: invalid configuration: Config.Message is bytes (*[]uint8), which "}},
		"message of a nil pointer": {echomw.Config{Limiter: limiter, Message: (*echo.HTTPError)(nil)}, []string{
			"echomw: invalid configuration: Config.Message is a *echo.HTTPError that holds nothing, which JSON encodes as null; allowed: ",
		}},
		"message of a nil map":         {echomw.Config{Limiter: limiter, Message: echo.Map(nil)}, []string{"echomw: invalid configuration: Config.Message is a echo.Map that holds nothing, which "}},
		"message of a nil raw message": {echomw.Config{Limiter: limiter, Message: json.RawMessage(nil)}, []string{"echomw: invalid configuration: Config.Message is a json.RawMessage that holds nothing, which "}},
		"all at once": {echomw.Config{Message: make(chan int), Key: echomw.Join(echomw.KeyByIP(128), nil)}, []string{
			"echomw: invalid configuration: Config.Limiter is nil; allowed: a limiter from slidingwindow.New",
			"Join: part 0: KeyByIP: ipv6Prefix is 128; allowed: 32 to 64 bits (0 stands for the default of 56)",
			"Join: part 1: Keyer is nil; ",
			"Config.Message is a chan int, which does not encode as JSON; allowed: ", "json: unsupported type: chan int",
		}},
		"plain function as message": {echomw.Config{Limiter: limiter, Message: func(echo.Context, slidingwindow.Decision) any { return nil }}, []string{
			"Config.Message is a func(echo.Context, slidingwindow.Decision) interface {}, which does not encode as JSON; allowed: a string, a json.RawMessage, an echomw.MessageFunc or ",
		}},
		"nil function as message": {echomw.Config{Limiter: limiter, Message: echomw.MessageFunc(nil)}, []string{
			"echomw: invalid configuration: Config.Message is a MessageFunc that is nil; ",
		}},
		"statuses": {echomw.Config{Limiter: limiter, Status: echomw.StatusCodes{Refused: 200, NoKey: 399, Failed: 600}}, []string{
			"echomw: invalid configuration: Config.Status.Refused is 200; allowed: 400 to 599 (0 stands for the default)",
			"echomw: invalid configuration: Config.Status.NoKey is 399; ",
			"echomw: invalid configuration: Config.Status.Failed is 600; ",
		}},
		"near a limit, below": {echomw.Config{Limiter: limiter, NearLimit: -0.1}, []string{
			"echomw: invalid configuration: Config.NearLimit is -0.1; allowed: more than 0, and at most 1 (0 stands for the default of 0.8)",
		}},
		"near a limit, above":  {echomw.Config{Limiter: limiter, NearLimit: 80}, []string{"Config.NearLimit is 80; "}},
		"near a limit, no one": {echomw.Config{Limiter: limiter, NearLimit: math.NaN()}, []string{"Config.NearLimit is NaN; "}},
		"two rules of what counts": {echomw.Config{Limiter: limiter, SkipFailed: true, SkipSuccessful: true}, []string{
			"echomw: invalid configuration: Config is with 2 of SkipFailed, SkipSuccessful and CountIf; allowed: at most one of them",
		}},
		"three rules": {echomw.Config{Limiter: limiter, SkipFailed: true, SkipSuccessful: true, CountIf: func(echo.Context, error) bool { return true }}, []string{
			"Config is with 3 of SkipFailed, SkipSuccessful and CountIf; ",
		}},
		"raw message that is no JSON": {echomw.Config{Limiter: limiter, Message: json.RawMessage("{")}, []string{
			"Config.Message is a json.RawMessage, which does not encode as JSON; ",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			middleware, err := test.config.ToMiddleware()
			require.ErrorIs(t, err, echomw.ErrInvalidConfig)
			assert.Nil(t, middleware)
			for _, fault := range test.faults {
				assert.Contains(t, err.Error(), fault)
			}
			assert.PanicsWithError(t, err.Error(), func() { echomw.RateLimiterWithConfig(test.config) })
		})
	}
}

func TestRateLimiterPanicsWithoutALimiter(t *testing.T) {
	assert.PanicsWithError(t, "echomw: invalid configuration: Config.Limiter is nil; allowed: a limiter from slidingwindow.New", func() {
		echomw.RateLimiter(nil)
	})
}

func TestToMiddlewareLeavesTheConfigAlone(t *testing.T) {
	config := echomw.Config{Limiter: newLimiter(t, newClock(), api(1))}
	middleware, err := config.ToMiddleware()
	require.NoError(t, err)
	assert.Nil(t, config.Skipper)
	assert.Nil(t, config.Key)

	config.Limiter = nil // and the middleware has a copy
	assert.Equal(t, 200, get(newEcho(middleware)).Code)
}

func TestDefaultConfigIsComplete(t *testing.T) {
	config := echomw.DefaultConfig
	assert.NotNil(t, config.Skipper)
	assert.NotNil(t, config.Key)
	config.Limiter = newLimiter(t, newClock(), api(1))
	e := newEcho(echomw.RateLimiterWithConfig(config))
	assert.Equal(t, 200, get(e).Code)
	assert.Equal(t, 429, get(e, header("X-Forwarded-For", "203.0.113.1")).Code)
}

func TestTextsThatMayHoldAPasswordAreNotShown(t *testing.T) {
	for _, text := range []string{"redis://ada:hunter2@redis:6379", "hunter2@redis", "ip+redis://:hunter2/0", "draft-11,redis://hunter2", "redis://:a+hunter2", "redis://:a,hunter2"} {
		_, err := echomw.ParseKey(text, echomw.KeyOptions{})
		require.ErrorIs(t, err, echomw.ErrInvalidConfig)
		assert.NotContains(t, err.Error(), "hunter2")
		_, err = echomw.ParseHeaders(text)
		require.ErrorIs(t, err, echomw.ErrInvalidConfig)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

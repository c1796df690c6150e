package adaptertest

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Run holds an adapter to the suite.
func Run(t *testing.T, adapter Adapter) {
	for name, test := range map[string]func(*testing.T, Adapter){
		"Keys":                  keys,
		"KeysThatAreUnclear":    keysThatAreUnclear,
		"PathParameters":        pathParameters,
		"FirstOf":               firstOf,
		"Forms":                 forms,
		"Headers":               headers,
		"HeadersOfTwoLimiters":  headersOfTwoLimiters,
		"Gateways":              gateways,
		"FieldsOfOthers":        fieldsOfOthers,
		"Writers":               writers,
		"Refusals":              refusals,
		"Messages":              messages,
		"RefusalHandlers":       refusalHandlers,
		"ErrorHandlers":         errorHandlers,
		"Failures":              failures,
		"StatusesOfErrors":      statusesOfErrors,
		"Drain":                 drain,
		"Preflights":            preflights,
		"Modes":                 modes,
		"Context":               fromContext,
		"FirstRefusals":         firstRefusals,
		"NearLimit":             nearLimit,
		"OffIsObserved":         offIsObserved,
		"SkipFailed":            skipFailed,
		"SkipSuccessful":        skipSuccessful,
		"CountIf":               countIf,
		"Panics":                panics,
		"Cost":                  cost,
		"Costs":                 costs,
		"Units":                 units,
		"Plans":                 plans,
		"Settings that are bad": badSettings,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, adapter)
		})
	}
}

func badSettings(t *testing.T, adapter Adapter) {
	limiter := newLimiter(t, api(1))
	for name, test := range map[string]struct {
		config httplimit.Config[Exchange]
		field  string
	}{
		"no limiter":           {httplimit.Config[Exchange]{}, "Config.Limiter"},
		"two forms":            {httplimit.Config[Exchange]{Limiter: limiter, Headers: httplimit.HeadersDraft11 | httplimit.HeadersDraft7}, "Config.Headers"},
		"none and another":     {httplimit.Config[Exchange]{Limiter: limiter, Headers: httplimit.HeadersNone | httplimit.HeadersLegacy}, "Config.Headers"},
		"a status":             {httplimit.Config[Exchange]{Limiter: limiter, Status: httplimit.StatusCodes{Refused: 200}}, "Config.Status.Refused"},
		"two rules":            {httplimit.Config[Exchange]{Limiter: limiter, SkipFailed: true, SkipSuccessful: true}, "Config"},
		"cost and costs":       {httplimit.Config[Exchange]{Limiter: limiter, Cost: func(Exchange) (int64, error) { return 1, nil }, Costs: func(Exchange) (slidingwindow.Cost, error) { return nil, nil }}, "Config"},
		"a unit":               {httplimit.Config[Exchange]{Limiter: limiter, Units: map[string]string{"api": "two words"}}, `Config.Units["api"]`},
		"the unit of no limit": {httplimit.Config[Exchange]{Limiter: limiter, Units: map[string]string{"tokens": "tokens"}}, "Config.Units"},
		"a body":               {httplimit.Config[Exchange]{Limiter: limiter, Message: []byte("no")}, "Config.Message"},
		"no MessageFunc":       {httplimit.Config[Exchange]{Limiter: limiter, Message: httplimit.MessageFunc[Exchange](nil)}, "Config.Message"},
		"bytes to drain":       {httplimit.Config[Exchange]{Limiter: limiter, DrainRefused: -1}, "Config.DrainRefused"},
	} {
		_, err := adapter(App{Limits: []Limit{{Config: test.config}}})
		require.ErrorIs(t, err, httplimit.ErrInvalidConfig, name)
		var fault *httplimit.ConfigError
		require.ErrorAs(t, err, &fault, name)
		assert.Equal(t, test.field, fault.Field, name)
		assert.NotEmpty(t, fault.Given, name)
		assert.NotEmpty(t, fault.Allowed, name)
	}
}

// modes: shadow refuses nobody and tells nothing, off counts nothing.
func modes(t *testing.T, adapter Adapter) {
	limiter := newLimiter(t, api(1))
	s := adapter.serve(t, App{
		Limits:  []Limit{{Config: httplimit.Config[Exchange]{Limiter: limiter}}},
		Handler: func(x Exchange) error { d, ok := x.Decision(); return x.JSON(http.StatusOK, []any{ok, d.Reason}) },
	})
	limiter.SetMode(slidingwindow.ModeOff)
	assert.JSONEq(t, `[false, ""]`, s.get().body)
	limiter.SetMode(slidingwindow.ModeShadow)
	assert.JSONEq(t, `[true, "allowed"]`, s.get().body)
	shadow := s.get()
	assert.JSONEq(t, `[true, "shadow"]`, shadow.body)
	assert.Empty(t, shadow.Header.Values("RateLimit"))
	limiter.SetMode(slidingwindow.ModeEnforce)
	assert.Equal(t, http.StatusTooManyRequests, s.get().StatusCode)
}

func preflights(t *testing.T, adapter Adapter) {
	preflight := http.Header{"Origin": {"https://app.example"}, "Access-Control-Request-Method": {"GET"}}
	for _, skip := range []bool{true, false} {
		s := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(1)), SkipPreflight: skip}})
		for range 2 {
			s.do(http.MethodOptions, "/users/7", "", preflight)
		}
		got := s.get()
		assert.Equal(t, skip, got.StatusCode == http.StatusOK)
	}
	s := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(0)), Skipper: func(x Exchange) bool { return x.Request.Header.Get("X-Health") != "" }}})
	assert.Equal(t, http.StatusOK, s.get("X-Health", "1").StatusCode)
	assert.Equal(t, http.StatusTooManyRequests, s.get().StatusCode)
}

// fromContext: the handler and middleware further out find the decision and the key, also where
// middleware between has a writer of its own.
func fromContext(t *testing.T, adapter Adapter) {
	type found struct {
		key       string
		remaining int64
		reason    slidingwindow.Reason
		err       error
	}
	var within, outside []found
	find := func(x Exchange, err error) found {
		d, ok := x.Decision()
		key, hasKey := x.Key()
		assert.True(t, ok && hasKey)
		return found{key, d.Remaining, d.Reason, err}
	}
	inner := slidingwindow.Limit{Name: "inner", Max: 1, Window: api(1).Window}
	s := adapter.serve(t, App{
		Limits: []Limit{
			{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(5))}, Keys: []string{"header:X-Outer"}},
			{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, inner)}, Keys: []string{"header:X-Inner"}},
		},
		Handler: func(x Exchange) error {
			within = append(within, find(x, nil))
			return x.JSON(http.StatusOK, nil)
		},
		After: func(x Exchange, err error) { outside = append(outside, find(x, err)) },
	})
	s.get("X-Outer", "a", "X-Inner", "b")
	s.get("X-Outer", "a", "X-Inner", "b")
	s.get("X-Outer", "a")
	require.Len(t, outside, 3)
	assert.Equal(t, []found{{"b", 0, slidingwindow.ReasonAllowed, nil}}, within)
	assert.Equal(t, within[0], outside[0])
	assert.Equal(t, slidingwindow.ReasonRefused, outside[1].reason)
	require.Error(t, outside[1].err)
	assert.Contains(t, outside[1].err.Error(), "echomw: refused by inner")
	assert.Equal(t, "a", outside[2].key, "the inner one had no key")
	assert.ErrorIs(t, outside[2].err, httplimit.ErrNoKey)

	before := adapter.serve(t, App{After: func(x Exchange, _ error) {
		_, ok := x.Decision()
		_, hasKey := x.Key()
		assert.False(t, ok || hasKey, "there is no limiter")
	}})
	before.get()
}

// firstRefusals: once for a key, until a window has passed without one.
func firstRefusals(t *testing.T, adapter Adapter) {
	var told []string
	s := adapter.limited(t, Limit{Keys: []string{"header:X-Key"}, Config: httplimit.Config[Exchange]{
		Limiter: newLimiter(t, api(1)),
		OnFirstRefusal: func(x Exchange, d slidingwindow.Decision) {
			told = append(told, x.Request.Header.Get("X-Key")+" "+d.Limit.Name)
		},
	}})
	for _, key := range []string{"a", "a", "a", "b", "a", "b", "b"} {
		s.get("X-Key", key)
	}
	assert.Equal(t, []string{"a api", "b api"}, told)
}

var errLookup = errors.New("lookup failed")

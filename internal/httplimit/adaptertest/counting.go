package adaptertest

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// as is a handler that answers as the query asks: with a status, or by an error of it.
func as(x Exchange) error {
	switch x.Request.URL.Query().Get("as") {
	case "written 500":
		return x.JSON(http.StatusInternalServerError, "broken")
	case "returned 404":
		return x.HTTPError(http.StatusNotFound, "no such user")
	case "plain error":
		return errLookup
	case "panic":
		panic(http.ErrAbortHandler)
	default:
		return x.JSON(http.StatusOK, "served")
	}
}

func (a Adapter) counting(t *testing.T, config httplimit.Config[Exchange]) (*server, func() int64) {
	t.Helper()
	limiter := newLimiter(t, api(10))
	config.Limiter = limiter
	config.Key = key(func(Exchange) (string, error) { return "k", nil })
	s := a.serve(t, App{Limits: []Limit{{Config: config}}, Handler: as})
	return s, func() int64 {
		d, err := limiter.Peek(t.Context(), "k")
		assert.NoError(t, err)
		return 10 - d.Remaining
	}
}

func skipFailed(t *testing.T, adapter Adapter) {
	s, used := adapter.counting(t, httplimit.Config[Exchange]{SkipFailed: true})
	for _, how := range []string{"written+500", "returned+404", "plain+error"} {
		s.do(http.MethodGet, "/users/7?as="+how, "", nil)
		assert.Zero(t, used(), how)
	}
	s.get()
	assert.EqualValues(t, 1, used())
}

func skipSuccessful(t *testing.T, adapter Adapter) {
	s, used := adapter.counting(t, httplimit.Config[Exchange]{SkipSuccessful: true})
	s.get()
	assert.Zero(t, used())
	for n, how := range []string{"written+500", "returned+404", "plain+error"} {
		s.do(http.MethodGet, "/users/7?as="+how, "", nil)
		assert.EqualValues(t, n+1, used(), how)
	}
}

func countIf(t *testing.T, adapter Adapter) {
	var statuses []int
	s, used := adapter.counting(t, httplimit.Config[Exchange]{CountIf: func(x Exchange, err error) bool {
		statuses = append(statuses, x.Status(err))
		return x.Status(err) == http.StatusNotFound
	}})
	for _, how := range []string{"written+500", "returned+404", "plain+error", ""} {
		s.do(http.MethodGet, "/users/7?as="+how, "", nil)
	}
	assert.Equal(t, []int{500, 404, 500, 200}, statuses)
	assert.EqualValues(t, 1, used())
}

// panics: a request that panics is given back with SkipFailed, and the panic goes on.
func panics(t *testing.T, adapter Adapter) {
	s, used := adapter.counting(t, httplimit.Config[Exchange]{SkipFailed: true})
	response, err := http.Get(s.URL + "/users/7?as=panic") //nolint:noctx // the server closes the connection
	if err == nil {
		_ = response.Body.Close()
	}
	assert.Error(t, err)
	assert.Zero(t, used())
}

func cost(t *testing.T, adapter Adapter) {
	s := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{
		Limiter: newLimiter(t, api(10)),
		Cost: func(x Exchange) (int64, error) {
			return map[string]int64{"free": 0, "three": 3, "huge": 11, "negative": -1}[x.Request.Header.Get("X-Cost")], nil
		},
	}})
	assert.Equal(t, `"api";r=7;t=900`, s.get("X-Cost", "three").Header.Get("RateLimit"))
	free := s.get("X-Cost", "free")
	assert.Equal(t, http.StatusOK, free.StatusCode)
	assert.Empty(t, free.Header.Values("RateLimit"))
	assert.Equal(t, http.StatusBadRequest, s.get("X-Cost", "huge").StatusCode)
	assert.Equal(t, http.StatusServiceUnavailable, s.get("X-Cost", "negative").StatusCode)
	assert.Equal(t, `"api";r=4;t=900`, s.get("X-Cost", "three").Header.Get("RateLimit"))
}

// costs: a request takes from each limit what it costs there, all or nothing; the tokens that it
// did not use are settled behind the limiter.
func costs(t *testing.T, adapter Adapter) {
	requests, tokens := slidingwindow.Limit{Name: "requests", Max: 3, Window: api(1).Window}, slidingwindow.Limit{Name: "tokens", Max: 1000, Window: api(1).Window}
	limiter := newLimiter(t, requests, tokens)
	s := adapter.serve(t, App{
		Limits: []Limit{{Config: httplimit.Config[Exchange]{
			Limiter: limiter,
			Costs: func(x Exchange) (slidingwindow.Cost, error) {
				switch x.Request.Header.Get("X-Cost") {
				case "free":
					return slidingwindow.Cost{"tokens": 0}, nil
				case "no limit":
					return slidingwindow.Cost{"words": 1}, nil
				case "huge":
					return slidingwindow.Cost{"requests": 1, "tokens": 1001}, nil
				case "fails":
					return nil, errLookup
				}
				return slidingwindow.Cost{"requests": 1, "tokens": 600}, nil
			},
		}}},
		Handler: func(x Exchange) error {
			if d, ok := x.Decision(); ok {
				key, _ := x.Key()
				if err := limiter.Settle(x.Request.Context(), key, d, slidingwindow.Cost{"requests": 1, "tokens": 250}); err != nil {
					return err
				}
			}
			return x.JSON(http.StatusOK, "served")
		},
	})
	got := s.get()
	assert.Equal(t, `"requests";r=2;t=900, "tokens";r=400;t=900`, got.Header.Get("RateLimit"))
	assert.Equal(t, http.StatusOK, s.get("X-Cost", "free").StatusCode)
	for how, status := range map[string]int{"no limit": 503, "huge": 400, "fails": 503} {
		assert.Equal(t, status, s.get("X-Cost", how).StatusCode, how)
	}
	assert.Equal(t, `"requests";r=1;t=900, "tokens";r=150;t=900`, s.get().Header.Get("RateLimit"), "250 of the first, 600 of this one")
	refused := s.get()
	assert.Equal(t, http.StatusTooManyRequests, refused.StatusCode)
	assert.Contains(t, refused.body, `"violated-policies":["tokens"]`)
	assert.Equal(t, `"requests";r=1;t=900, "tokens";r=500;t=900`, refused.Header.Get("RateLimit"), "nothing is taken")
}

// units: what a limit counts is told where draft-11 has a place for it.
func units(t *testing.T, adapter Adapter) {
	limits := []slidingwindow.Limit{
		{Name: "requests", Max: 60, Window: api(1).Window}, {Name: "tokens", Max: 100_000, Window: api(1).Window}, {Name: "bytes", Max: 1 << 20, Window: api(1).Window},
	}
	config := httplimit.Config[Exchange]{
		Limiter: newLimiter(t, limits...),
		Units:   map[string]string{"requests": "requests", "tokens": "tokens", "bytes": "content-bytes"},
	}
	got := adapter.limited(t, Limit{Config: config}).get()
	assert.Equal(t, `"requests";q=60;w=900, "tokens";q=100000;qu="tokens";w=900, "bytes";q=1048576;qu="content-bytes";w=900`, got.Header.Get("RateLimit-Policy"))
	config.Headers = httplimit.HeadersDraft7
	assert.Equal(t, "60;w=900, 100000;w=900, 1048576;w=900", adapter.limited(t, Limit{Config: config}).get().Header.Get("RateLimit-Policy"))
}

func plans(t *testing.T, adapter Adapter) {
	s := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{
		Limiter: newLimiter(t, api(2)),
		Limits: func(x Exchange) ([]slidingwindow.Limit, error) {
			switch x.Request.Header.Get("X-Plan") {
			case "pro":
				return []slidingwindow.Limit{api(10)}, nil
			case "broken":
				return []slidingwindow.Limit{{Name: "a\n", Max: 1, Window: 1}}, nil
			}
			return nil, nil
		},
	}})
	assert.Equal(t, `"api";r=9;t=900`, s.get("X-Plan", "pro").Header.Get("RateLimit"))
	assert.Equal(t, `"api";r=0;t=900`, s.get().Header.Get("RateLimit"), "one count under one name")
	assert.Equal(t, http.StatusTooManyRequests, s.get().StatusCode)
	assert.Equal(t, http.StatusOK, s.get("X-Plan", "pro").StatusCode)
	assert.Equal(t, http.StatusServiceUnavailable, s.get("X-Plan", "broken").StatusCode)
}

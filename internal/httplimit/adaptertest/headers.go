package adaptertest

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	draft11 = httplimit.HeadersDraft11
	draft7  = httplimit.HeadersDraft7
	draft6  = httplimit.HeadersDraft6
	legacy  = httplimit.HeadersLegacy
	none    = httplimit.HeadersNone
)

// told returns the fields of all formats, and not Retry-After.
func told(h http.Header) map[string][]string {
	fields := map[string][]string{}
	for field, values := range h {
		if strings.Contains(field, "Ratelimit") {
			fields[field] = values
		}
	}
	return fields
}

func headers(t *testing.T, adapter Adapter) {
	six := map[string][]string{"Ratelimit-Limit": {"10"}, "Ratelimit-Remaining": {"9"}, "Ratelimit-Reset": {"900"}}
	for set, want := range map[httplimit.Headers]map[string][]string{
		0:       {"Ratelimit": {`"api";r=9;t=900`}, "Ratelimit-Policy": {`"api";q=10;w=900`}},
		draft11: {"Ratelimit": {`"api";r=9;t=900`}, "Ratelimit-Policy": {`"api";q=10;w=900`}},
		draft7:  {"Ratelimit": {"limit=10, remaining=9, reset=900"}, "Ratelimit-Policy": {"10;w=900"}},
		draft6:  with(six, "Ratelimit-Policy", "10;w=900"),
		draft11 | draft6: with(with(six, "Ratelimit-Policy", `"api";q=10;w=900`),
			"Ratelimit", `"api";r=9;t=900`),
		none: {},
	} {
		got := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(10)), Headers: set}}).get()
		assert.Equal(t, want, told(got.Header), set)
	}
	got := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(10)), Headers: legacy}}).get()
	assert.Equal(t, "9", got.Header.Get("X-RateLimit-Remaining"))
	reset, err := strconv.ParseInt(got.Header.Get("X-RateLimit-Reset"), 10, 64)
	require.NoError(t, err)
	assert.Greater(t, reset, int64(1_700_000_000), "a point in time")
}

func with(fields map[string][]string, field, value string) map[string][]string {
	more := map[string][]string{field: {value}}
	for field, values := range fields {
		more[field] = values
	}
	return more
}

func headersOfTwoLimiters(t *testing.T, adapter Adapter) {
	burst := slidingwindow.Limit{Name: "burst", Max: 1, Window: time.Minute}
	s := adapter.serve(t, App{Limits: []Limit{
		{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(10)), Headers: draft11 | draft6}},
		{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, burst), Headers: draft11 | draft6}},
	}})
	assert.Equal(t, map[string][]string{
		"Ratelimit": {`"api";r=9;t=900`, `"burst";r=0;t=60`}, "Ratelimit-Policy": {`"api";q=10;w=900`, `"burst";q=1;w=60`},
		"Ratelimit-Limit": {"1"}, "Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {"60"},
	}, told(s.get().Header))
	refused := s.get()
	assert.Equal(t, http.StatusTooManyRequests, refused.StatusCode)
	assert.Equal(t, []string{"60"}, refused.Header.Values("Retry-After"))
	assert.Equal(t, []string{`"api";r=8`, `"burst";r=0;t=60`}, refused.Header.Values("RateLimit"), "no reset is later than Retry-After")
}

// proxies forward to a target behind the limiter.
func proxies(target *url.URL) map[string]http.Handler {
	flushing := httputil.NewSingleHostReverseProxy(target)
	flushing.FlushInterval = -1
	return map[string]http.Handler{"buffers": httputil.NewSingleHostReverseProxy(target), "flushes": flushing}
}

// gateways: a gateway and the service behind it are limited, in any formats, and one of them is
// tighter: each field is one that a client can parse, and tells the tighter one.
func gateways(t *testing.T, adapter Adapter) {
	sets := []httplimit.Headers{none, draft11, draft7, draft6, legacy, draft7 | draft6, draft11 | draft6 | legacy, draft7 | draft6 | legacy}
	for _, outer := range sets {
		for _, inner := range sets {
			for _, units := range [][2]int64{{10, 3}, {3, 10}, {3, 3}} {
				service := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{Headers: inner, Limiter: newLimiter(t,
					slidingwindow.Limit{Name: "service", Max: units[1], Window: time.Hour})}})
				target, err := url.Parse(service.URL)
				require.NoError(t, err)
				for name, proxy := range proxies(target) {
					if name == "flushes" && outer != inner {
						continue
					}
					service.reset(adapter, inner, units[1])
					front := adapter.serve(t, App{
						Limits: []Limit{{Config: httplimit.Config[Exchange]{Headers: outer, Limiter: newLimiter(t,
							slidingwindow.Limit{Name: "gateway", Max: units[0], Window: time.Minute})}}},
						Handler: func(x Exchange) error { proxy.ServeHTTP(x.Response, x.Request); return nil },
					})
					for n := range 4 {
						got := front.get()
						label := fmt.Sprintf("%v before %v, %v units, %s, request %d", outer, inner, units, name, n)
						least := min(units[0], units[1])
						refused := int64(n) >= least
						require.Equal(t, refused, got.StatusCode == http.StatusTooManyRequests, label)
						requireFields(t, got.Header, outer, inner, max(0, least-int64(n)-1), label)
						if refused {
							require.Len(t, got.Header.Values("Retry-After"), 1, label)
						}
					}
					front.Close()
				}
				service.Close()
			}
		}
	}
}

// reset gives the server a limiter that has counted nothing.
func (s *server) reset(adapter Adapter, set httplimit.Headers, units int64) {
	s.t.Helper()
	handler, err := adapter(App{
		Limits: []Limit{{Config: httplimit.Config[Exchange]{Headers: set, Limiter: newLimiter(s.t,
			slidingwindow.Limit{Name: "service", Max: units, Window: time.Hour})}}},
		Handler: func(x Exchange) error { return x.JSON(http.StatusOK, "served") },
	})
	require.NoError(s.t, err)
	s.Config.Handler = handler
}

func requireFields(t *testing.T, h http.Header, outer, inner httplimit.Headers, left int64, label string) {
	t.Helper()
	form := outer & (draft11 | draft7)
	if form == 0 { // then RateLimit is the service's
		form = inner & (draft11 | draft7)
	}
	switch values := h.Values("RateLimit"); {
	case form == draft11:
		list, err := httpsfv.UnmarshalList(values)
		require.NoError(t, err, label)
		var names []string
		least := int64(1 << 60)
		for _, member := range list {
			item := member.(httpsfv.Item)
			name, ok := item.Value.(string)
			require.True(t, ok, label)
			require.NotContains(t, names, name, label)
			names = append(names, name)
			remaining, _ := item.Params.Get("r")
			least = min(least, remaining.(int64))
		}
		if outer&draft11 != 0 && inner&(draft11|draft7) != 0 {
			require.Equal(t, left, least, label)
		}
	case form == draft7 && (len(values) > 0 || outer&draft7 != 0): // a gateway that refused may send none
		require.Len(t, values, 1, label)
		dictionary, err := httpsfv.UnmarshalDictionary(values)
		require.NoError(t, err, label)
		require.Equal(t, []string{"limit", "remaining", "reset"}, dictionary.Names(), label)
		if outer&draft7 != 0 && inner&(draft11|draft7) != 0 {
			remaining, _ := dictionary.Get("remaining")
			require.Equal(t, left, remaining.(httpsfv.Item).Value, label)
		}
	}
	if outer&(draft11|draft7|draft6) != 0 {
		list, err := httpsfv.UnmarshalList(h.Values("RateLimit-Policy"))
		require.NoError(t, err, label)
		require.NotEmpty(t, list, label)
		for _, member := range list {
			_, isName := member.(httpsfv.Item).Value.(string)
			require.Equal(t, outer&draft11 != 0, isName, label)
		}
	}
	for format, fields := range map[httplimit.Headers][]string{
		draft6: {"RateLimit-Remaining", "RateLimit-Limit", "RateLimit-Reset"},
		legacy: {"X-RateLimit-Remaining", "X-RateLimit-Limit", "X-RateLimit-Reset"},
	} {
		if outer&inner&format == 0 {
			continue
		}
		for _, field := range fields {
			require.Len(t, h.Values(field), 1, "%s: %s", label, field)
		}
		require.Equal(t, strconv.FormatInt(left, 10), h.Get(fields[0]), "%s: the tighter one", label)
	}
}

// fieldsOfOthers: what another limiter, or a service, writes to the same fields is kept where it
// is tighter; of two limits of one name the tighter one stays.
func fieldsOfOthers(t *testing.T, adapter Adapter) {
	for _, test := range []struct {
		set                         httplimit.Headers
		field, value, policy        string
		wantRateLimit, wantPolicies []string
	}{
		{draft11, "RateLimit", `"api";r=3;t=60`, `"api";q=5;w=60`, []string{`"api";r=3;t=60`}, []string{`"api";q=5;w=60`}},
		{draft11, "RateLimit", `"api";r=30;t=60`, `"api";q=50;w=60`, []string{`"api";r=9;t=900`}, []string{`"api";q=10;w=900`}},
		{draft11, "RateLimit", `"other";r=3;t=60`, `"other";q=5;w=60`, []string{`"other";r=3;t=60, "api";r=9;t=900`}, []string{`"other";q=5;w=60, "api";q=10;w=900`}},
		{draft11, "RateLimit", "limit=5, remaining=3, reset=60", "5;w=60", []string{`"other";r=3;t=60, "api";r=9;t=900`}, []string{`"api";q=10;w=900`}},
		{draft11, "RateLimit", `nonsense"`, `"`, []string{`"api";r=9;t=900`}, []string{`"api";q=10;w=900`}},
		{draft7, "RateLimit", `"other";r=3;t=60`, `"other";q=5;w=60`, []string{"limit=5, remaining=3, reset=60"}, []string{"10;w=900"}},
		{draft7, "RateLimit", "limit=50, remaining=30, reset=60", "50;w=60", []string{"limit=10, remaining=9, reset=900"}, []string{"50;w=60", "10;w=900"}},
	} {
		s := adapter.serve(t, App{
			Limits: []Limit{{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(10)), Headers: test.set}}},
			Handler: func(x Exchange) error {
				x.Response.Header().Add(test.field, test.value)
				x.Response.Header().Add("RateLimit-Policy", test.policy)
				return x.JSON(http.StatusOK, "served")
			},
		})
		got := s.get()
		assert.Equal(t, test.wantRateLimit, got.Header.Values("RateLimit"), test.value)
		assert.Equal(t, test.wantPolicies, got.Header.Values("RateLimit-Policy"), test.value)
	}
}

// writers: what handlers do with the writer of the response works as it does without the limiter.
func writers(t *testing.T, adapter Adapter) {
	flushed := make(chan struct{})
	s := adapter.serve(t, App{
		Limits: []Limit{{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(10))}}},
		Handler: func(x Exchange) error {
			control := http.NewResponseController(x.Response)
			switch x.Request.URL.Query().Get("do") {
			case "flush":
				if err := control.Flush(); err != nil { // the header, before anything is written
					return err
				}
				<-flushed
				_, err := io.WriteString(x.Response, "after")
				return err
			case "hijack":
				conn, _, err := control.Hijack()
				if err != nil {
					return err
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
				return conn.Close()
			case "deadline":
				if err := control.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
					return err
				}
			}
			_, err := io.Copy(x.Response, bufio.NewReader(strings.NewReader("copied")))
			return err
		},
	})
	for _, do := range []string{"flush", "hijack", "deadline", ""} {
		response, err := http.Get(s.URL + "/users/7?do=" + do) //nolint:noctx // a test
		require.NoError(t, err, do)
		if do == "flush" {
			close(flushed)
		}
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.True(t, slices.Contains([]string{"after", "hi", "copied"}, string(text)), do)
		assert.Equal(t, do != "hijack", response.Header.Get("RateLimit") != "", do)
	}
}

package echomw

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// limitedServer is a real server whose handler is behind a limiter of one limit, of which
// some units are left after each request. Its clock stands still.
func limitedServer(t *testing.T, set Headers, limit slidingwindow.Limit, handler echo.HandlerFunc, more ...echo.MiddlewareFunc) *httptest.Server {
	t.Helper()
	now := time.Now()
	store, err := memory.NewWithConfig(memory.Config{Clock: func() time.Time { return now }})
	require.NoError(t, err)
	limiter, err := slidingwindow.New(store, limit)
	require.NoError(t, err)
	e := echo.New()
	e.Use(RateLimiterWithConfig(Config{Limiter: limiter, Headers: set, Key: KeyByRoute()}))
	e.Any("/*", handler, more...)
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return server
}

func served(c echo.Context) error { return c.String(http.StatusOK, "served") }

// gateways forward to a target behind the limiter: as middleware and as a handler.
var gateways = map[string]func(target *url.URL) (echo.HandlerFunc, []echo.MiddlewareFunc){
	"Echo's Proxy": func(target *url.URL) (echo.HandlerFunc, []echo.MiddlewareFunc) {
		return served, []echo.MiddlewareFunc{middleware.Proxy(middleware.NewRoundRobinBalancer([]*middleware.ProxyTarget{{URL: target}}))}
	},
	"ReverseProxy": func(target *url.URL) (echo.HandlerFunc, []echo.MiddlewareFunc) {
		return echo.WrapHandler(httputil.NewSingleHostReverseProxy(target)), nil
	},
	"ReverseProxy that flushes": func(target *url.URL) (echo.HandlerFunc, []echo.MiddlewareFunc) {
		proxy := httputil.NewSingleHostReverseProxy(target)
		proxy.FlushInterval = -1
		return echo.WrapHandler(proxy), nil
	},
}

func fetch(t *testing.T, server *httptest.Server) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/", nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res
}

// A gateway and the service behind it are limited, in any formats, and one of them is
// tighter: each field is one that a client can parse.
func TestGatewayAndServiceThatAreBothLimited(t *testing.T) {
	t.Parallel()
	sets := []Headers{HeadersNone, HeadersDraft11, HeadersDraft7, HeadersDraft6, HeadersLegacy,
		HeadersDraft11 | HeadersDraft7, HeadersDraft7 | HeadersDraft6, allFormats &^ HeadersDraft11, allFormats}
	for name, gateway := range gateways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, outer := range sets {
				for _, inner := range sets {
					for _, units := range [][2]int64{{10, 3}, {3, 10}, {3, 3}} {
						service := limitedServer(t, inner, slidingwindow.Limit{Name: "service", Max: units[1], Window: time.Hour}, served)
						target, err := url.Parse(service.URL)
						require.NoError(t, err)
						handler, more := gateway(target)
						front := limitedServer(t, outer, slidingwindow.Limit{Name: "gateway", Max: units[0], Window: time.Minute}, handler, more...)
						for n := range 4 {
							res := fetch(t, front)
							label := fmt.Sprintf("%v before %v, %v units, request %d", outer, inner, units, n)
							refused := int64(n) >= min(units[0], units[1])
							require.Equal(t, refused, res.StatusCode == http.StatusTooManyRequests, label)
							requireGatewayFields(t, res.Header, outer, inner, max(0, min(units[0], units[1])-int64(n)-1), label)
							if refused {
								require.Len(t, res.Header.Values("Retry-After"), 1, label)
							}
						}
						front.Close()
						service.Close()
					}
				}
			}
		})
	}
}

func requireGatewayFields(t *testing.T, h http.Header, outer, inner Headers, left int64, label string) {
	t.Helper()
	formats := outer.formats()
	if formats&(HeadersDraft11|HeadersDraft7) == 0 { // then RateLimit is the service's
		formats |= inner.formats() & (HeadersDraft11 | HeadersDraft7)
	}
	requireWellFormed(t, h, fieldRateLimit, formats)
	if policyForm := outer.formats() &^ HeadersLegacy; policyForm != 0 {
		requireWellFormed(t, h, fieldPolicy, policyForm)
	}
	both := outer.formats() & inner.formats()
	for _, single := range []struct {
		format Headers
		fields []string
	}{{HeadersDraft6, []string{fieldLimit, fieldRemaining, fieldReset}}, {HeadersLegacy, []string{fieldLegacyLimit, fieldLegacyRemaining, fieldLegacyReset}}} {
		if both&single.format == 0 {
			continue
		}
		for _, field := range single.fields {
			require.Len(t, h.Values(field), 1, label+": "+field)
		}
		require.Equal(t, left, integer(h.Get(single.fields[1])), label+": the tighter one")
	}
	if outer.formats()&HeadersDraft11 != 0 && inner.formats()&(HeadersDraft11|HeadersDraft7) != 0 ||
		outer.formats()&HeadersDraft7 != 0 && inner.formats()&(HeadersDraft11|HeadersDraft7) != 0 {
		tightest := tightestStanding(standingsOf(h[fieldRateLimit], nil))
		require.NotNil(t, tightest, label)
		require.Equal(t, left, tightest.remaining, label+": %v", h[fieldRateLimit])
	}
}

// Of limits that share a name, a client that goes by names sees the tighter one.
func TestGatewayAndServiceWithLimitsOfOneName(t *testing.T) {
	t.Parallel()
	for _, units := range [][2]int64{{10, 3}, {3, 10}} {
		service := limitedServer(t, HeadersDraft11, slidingwindow.Limit{Name: "api", Max: units[1], Window: time.Hour}, served)
		target, err := url.Parse(service.URL)
		require.NoError(t, err)
		front := limitedServer(t, HeadersDraft11, slidingwindow.Limit{Name: "api", Max: units[0], Window: time.Minute},
			echo.WrapHandler(httputil.NewSingleHostReverseProxy(target)))
		res := fetch(t, front)
		window := map[bool]string{true: "60", false: "3600"}[units[0] < units[1]]
		assert.Equal(t, []string{`"api";r=2;t=` + window}, res.Header.Values("RateLimit"))
		assert.Equal(t, []string{`"api";q=3;w=` + window}, res.Header.Values("RateLimit-Policy"))
	}
}

// otherLimiter stands for another limiter's middleware: before ours it sets its fields
// before the handler runs, behind ours it replaces what is there.
func otherLimiter(remaining string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			h := c.Response().Header()
			h.Set("X-RateLimit-Limit", "100")
			h.Set("X-RateLimit-Remaining", remaining)
			h.Set("X-RateLimit-Reset", "1767323046")
			if remaining == "0" {
				return echo.ErrTooManyRequests
			}
			return next(c)
		}
	}
}

func TestAnotherLimiterBeforeOrBehindOurs(t *testing.T) {
	t.Parallel()
	limit := slidingwindow.Limit{Name: "api", Max: 10, Window: time.Minute}
	for remaining, want := range map[string]string{"5": "5", "50": "9", "0": "0", "none": "9"} {
		behind := limitedServer(t, HeadersLegacy, limit, served, otherLimiter(remaining))
		assert.Equal(t, []string{want}, fetch(t, behind).Header.Values("X-RateLimit-Remaining"), "behind: "+remaining)
		if remaining == "0" {
			continue
		}
		store, err := memory.NewWithConfig(memory.Config{})
		require.NoError(t, err)
		limiter, err := slidingwindow.New(store, limit)
		require.NoError(t, err)
		e := echo.New()
		e.Use(otherLimiter(remaining), middleware.Gzip(), RateLimiterWithConfig(Config{Limiter: limiter, Headers: HeadersLegacy, Key: KeyByRoute()}))
		e.GET("/", served)
		server := httptest.NewServer(e)
		res := fetch(t, server)
		server.Close()
		assert.Equal(t, []string{want}, res.Header.Values("X-RateLimit-Remaining"), "before: "+remaining)
		wantLimit := map[bool]string{true: "10", false: "100"}[want == "9"]
		assert.Equal(t, []string{wantLimit}, res.Header.Values("X-RateLimit-Limit"), "the fields are of one limiter")
	}
}

// What handlers do with the writer of the response works as it does without the limiter.
func TestWriterOfTheResponseKeepsItsAbilities(t *testing.T) {
	t.Parallel()
	limit := slidingwindow.Limit{Name: "api", Max: 10, Window: time.Minute}
	flushed := make(chan struct{})
	server := limitedServer(t, HeadersDraft11, limit, func(c echo.Context) error {
		switch c.QueryParam("do") {
		case "flush":
			c.Response().Writer.(http.Flusher).Flush() // the header, before anything is written
			<-flushed
			return c.String(http.StatusOK, "after")
		case "hijack":
			conn, _, err := c.Response().Writer.(http.Hijacker).Hijack()
			if err != nil {
				return err
			}
			c.Response().Committed = true
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
			return conn.Close()
		case "past":
			_, err := io.WriteString(c.Response().Writer, "past Echo")
			c.Response().Committed = true
			return err
		default:
			return http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(time.Minute))
		}
	})
	for do, body := range map[string]string{"flush": "after", "hijack": "hi", "past": "past Echo", "": ""} {
		res, err := http.Get(server.URL + "/?do=" + do) //nolint:noctx // a test
		require.NoError(t, err, do)
		if do == "flush" {
			close(flushed)
		}
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, body, string(text))
		assert.Equal(t, do != "hijack", res.Header.Get("RateLimit") != "", do)
	}
}

// Package adaptertest holds every adapter of httplimit to one suite, over real HTTP.
package adaptertest

import (
	"context"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// Exchange is one request as the suite's handlers and hooks see it, whatever the framework.
type Exchange struct {
	Request  *http.Request
	Response http.ResponseWriter

	JSON      func(status int, body any) error      // writes a response
	HTTPError func(status int, text string) error   // makes an error that the framework answers
	Decision  func() (slidingwindow.Decision, bool) // FromContext
	Key       func() (string, bool)                 // KeyFromContext
	Status    func(err error) int                   // ResponseStatus
}

// Limit is the configuration of one middleware.
type Limit struct {
	httplimit.Config[Exchange]

	// Keys are texts for ParseKey: of several, FirstOf them. Without one, Config.Key is for a
	// KeyFunc.
	Keys []string
}

// App is a server to make with an adapter. It serves GET, HEAD, POST and OPTIONS of /users/:id, and
// of all paths below /files.
type App struct {
	Limits  []Limit // the first one is the outermost
	Handler func(x Exchange) error

	// After is called by middleware outside of the limits, with what they returned.
	After func(x Exchange, err error)

	// HandleError is the application's own error handler: it writes the response.
	HandleError func(x Exchange, err error) error

	// Extract is for Echo.IPExtractor.
	Extract func(r *http.Request) string
}

// Adapter makes the handler of an App.
type Adapter func(app App) (http.Handler, error)

// server is an App that listens on 127.0.0.1.
type server struct {
	*httptest.Server
	t testing.TB
}

func (a Adapter) serve(t testing.TB, app App) *server {
	t.Helper()
	if app.Handler == nil {
		app.Handler = func(x Exchange) error { return x.JSON(http.StatusOK, "served") }
	}
	for i := range app.Limits {
		if app.Limits[i].Logger == nil {
			app.Limits[i].Logger = slog.New(slog.DiscardHandler)
		}
	}
	handler, err := a(app)
	require.NoError(t, err)
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of handlers that panic, or hijack
	s.Start()
	t.Cleanup(s.Close)
	return &server{s, t}
}

// limited is a server with one middleware.
func (a Adapter) limited(t testing.TB, limit Limit) *server {
	t.Helper()
	return a.serve(t, App{Limits: []Limit{limit}})
}

// answer is a response that was read to its end.
type answer struct {
	*http.Response
	body string
}

func (s *server) do(method, target, body string, header http.Header) answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.URL+target, strings.NewReader(body))
	require.NoError(s.t, err)
	for field, values := range header {
		request.Header[http.CanonicalHeaderKey(field)] = values
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, response.Body.Close())
	return answer{response, string(text)}
}

func (s *server) get(header ...string) answer {
	s.t.Helper()
	fields := http.Header{}
	for i := 0; i < len(header); i += 2 {
		fields.Add(header[i], header[i+1])
	}
	return s.do(http.MethodGet, "/users/7", "", fields)
}

// clock is a store's clock that stands still unless it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newLimiter(t testing.TB, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	return newLimiterAt(t, newClock(), limits...)
}

func newLimiterAt(t testing.TB, c *clock, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	store, err := memory.NewWithConfig(memory.Config{Clock: c.Now})
	require.NoError(t, err)
	limiter, err := slidingwindow.New(store, limits...)
	require.NoError(t, err)
	return limiter
}

// api is the limit of most tests: some units in 15 minutes.
func api(units int64) slidingwindow.Limit {
	return slidingwindow.Limit{Name: "api", Max: units, Window: 15 * time.Minute}
}

// down is a store that is away.
type down struct{}

func (down) Take(context.Context, slidingwindow.Request) (slidingwindow.Decision, error) {
	return slidingwindow.Decision{}, slidingwindow.ErrStoreUnavailable
}

func (down) Settle(context.Context, string, slidingwindow.Decision, []int64) error {
	return slidingwindow.ErrStoreUnavailable
}

func (down) Reset(context.Context, string, []slidingwindow.Limit) error {
	return slidingwindow.ErrStoreUnavailable
}

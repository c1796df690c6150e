package adaptertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// refusals: 429, a problem that says which limits refused, and no cache keeps it.
func refusals(t *testing.T, adapter Adapter) {
	c := newClock()
	s := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{Limiter: newLimiterAt(t, c, api(1))}})
	assert.Equal(t, http.StatusOK, s.get().StatusCode)
	c.advance(500 * time.Millisecond)
	got := s.get()
	assert.Equal(t, http.StatusTooManyRequests, got.StatusCode)
	assert.Equal(t, "application/problem+json", got.Header.Get("Content-Type"))
	assert.Equal(t, []string{"900"}, got.Header.Values("Retry-After"))
	assert.Equal(t, "no-store", got.Header.Get("Cache-Control"))
	assert.Equal(t, `"api";r=0;t=900`, got.Header.Get("RateLimit"))
	assert.JSONEq(t, `{"type": "https://iana.org/assignments/http-problem-types#quota-exceeded", "title": "Quota Exceeded", "status": 429,
		"detail": "Too many requests: retry in 900 s.", "violated-policies": ["api"]}`, got.body)
	head := s.do(http.MethodHead, "/users/7", "", nil)
	assert.Equal(t, http.StatusTooManyRequests, head.StatusCode)
	assert.Empty(t, head.body)
	c.advance(15*time.Minute - 500*time.Millisecond)
	assert.Equal(t, http.StatusOK, s.get().StatusCode)
}

func messages(t *testing.T, adapter Adapter) {
	for name, test := range map[string]struct {
		message any
		want    string
	}{
		"text":    {"slow down", `{"message": "slow down"}`},
		"raw":     {json.RawMessage(`{"success":false}`), `{"success": false}`},
		"a map":   {map[string]any{"code": 7}, `{"code": 7}`},
		"made":    {httplimit.MessageFunc[Exchange](func(_ Exchange, d slidingwindow.Decision) any { return []string{d.Limit.Name} }), `["api"]`},
		"not set": {nil, ""},
	} {
		s := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(0)), Message: test.message, Status: httplimit.StatusCodes{Refused: 420}}})
		got := s.get()
		assert.Equal(t, 420, got.StatusCode, name)
		want := "application/problem+json"
		if test.message != nil {
			want = "application/json"
			assert.JSONEq(t, test.want, got.body, name)
		}
		assert.Equal(t, want, got.Header.Get("Content-Type"), "%s: a body that is ours sets its type, no other", name)
	}
}

func refusalHandlers(t *testing.T, adapter Adapter) {
	for name, test := range map[string]struct {
		handler     func(x Exchange, d slidingwindow.Decision) error
		status      int
		contentType string
	}{
		"answers": {func(x Exchange, _ slidingwindow.Decision) error { return x.JSON(http.StatusTeapot, "later") }, http.StatusTeapot, "application/json"},
		"returns": {func(x Exchange, _ slidingwindow.Decision) error { return x.HTTPError(http.StatusConflict, "later") }, http.StatusConflict, "application/json"},
		"counts":  {func(Exchange, slidingwindow.Decision) error { return nil }, http.StatusTooManyRequests, "application/problem+json"},
	} {
		s := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(0)), RefusalHandler: test.handler}})
		got := s.get()
		assert.Equal(t, test.status, got.StatusCode, name)
		assert.Equal(t, test.contentType, got.Header.Get("Content-Type"), name)
		assert.Equal(t, []string{"900"}, got.Header.Values("Retry-After"), name)
	}
}

// errorHandlers: a body that is ours sets the Content-Type, no other does. What an application's
// error handler writes of its own keeps its own.
func errorHandlers(t *testing.T, adapter Adapter) {
	for name, test := range map[string]struct {
		handle      func(x Exchange, err error) error
		contentType string
	}{
		"JSON": {func(x Exchange, _ error) error {
			return x.JSON(http.StatusTooManyRequests, map[string]bool{"ok": false})
		}, "application/json"},
		"JSON with the error in it": {func(x Exchange, err error) error {
			return x.JSON(http.StatusTooManyRequests, map[string]any{"error": err})
		}, "application/json"},
		"text": {func(x Exchange, _ error) error {
			x.Response.Header().Set("Content-Type", "text/plain")
			x.Response.WriteHeader(http.StatusTooManyRequests)
			_, err := io.WriteString(x.Response, "slow down")
			return err
		}, "text/plain"},
	} {
		s := adapter.serve(t, App{
			Limits:      []Limit{{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(0))}}},
			HandleError: test.handle,
		})
		got := s.get()
		assert.Equal(t, http.StatusTooManyRequests, got.StatusCode, name)
		assert.Equal(t, test.contentType, got.Header.Get("Content-Type"), name)
	}
}

// failures: what cannot be decided is never served, and never a 429.
func failures(t *testing.T, adapter Adapter) {
	away, err := slidingwindow.New(down{}, api(1))
	require.NoError(t, err)
	var seen error
	config := httplimit.Config[Exchange]{Limiter: away}
	s := adapter.serve(t, App{Limits: []Limit{{Config: config}}, After: func(_ Exchange, err error) { seen = err }})
	got := s.get()
	assert.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
	assert.JSONEq(t, `{"message": "Service Unavailable"}`, got.body, "the cause is for logs")
	assert.Equal(t, []string{"1"}, got.Header.Values("Retry-After"))
	assert.Equal(t, "no-store", got.Header.Get("Cache-Control"))
	require.ErrorIs(t, seen, slidingwindow.ErrStoreUnavailable)
	require.ErrorIs(t, seen, httplimit.ErrUndecided)

	config.ErrorHandler = func(x Exchange, err error) error {
		if errors.Is(err, httplimit.ErrUndecided) {
			return x.JSON(http.StatusBadGateway, "away")
		}
		return err
	}
	assert.Equal(t, http.StatusBadGateway, adapter.limited(t, Limit{Config: config}).get().StatusCode)
}

// key makes a Keyer of the suite.
type key func(Exchange) (string, error)

func (k key) Key(x Exchange) (string, error) { return k(x) }

// statusesOfErrors: an error of an application's function keeps its status if that is one of a
// failure, bare or wrapped.
func statusesOfErrors(t *testing.T, adapter Adapter) {
	for name, test := range map[string]struct {
		fail   func(x Exchange) error
		status int
		body   string
	}{
		"plain":         {func(Exchange) error { return errLookup }, http.StatusForbidden, `{"message": "Forbidden"}`},
		"bare":          {func(x Exchange) error { return x.HTTPError(http.StatusUnauthorized, "who?") }, http.StatusUnauthorized, `{"message": "who?"}`},
		"wrapped":       {func(x Exchange) error { return fmt.Errorf("session: %w", x.HTTPError(http.StatusUnauthorized, "who?")) }, http.StatusUnauthorized, `{"message": "who?"}`},
		"no failure":    {func(x Exchange) error { return x.HTTPError(http.StatusOK, "fine") }, http.StatusForbidden, `{"message": "Forbidden"}`},
		"no status":     {func(x Exchange) error { return x.HTTPError(0, "") }, http.StatusForbidden, `{"message": "Forbidden"}`},
		"a nil pointer": {func(Exchange) error { return (*brittle)(nil) }, http.StatusForbidden, `{"message": "Forbidden"}`},
		"empty key":     {func(Exchange) error { return nil }, http.StatusForbidden, `{"message": "Forbidden"}`},
	} {
		s := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{
			Limiter: newLimiter(t, api(1)), Key: key(func(x Exchange) (string, error) { return "", test.fail(x) }),
		}})
		got := s.get()
		assert.Equal(t, test.status, got.StatusCode, name)
		assert.JSONEq(t, test.body, got.body, name)
		s = adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{
			Limiter: newLimiter(t, api(1)), Cost: func(x Exchange) (int64, error) { return -1, test.fail(x) },
		}})
		status := test.status
		if status == http.StatusForbidden {
			status = http.StatusServiceUnavailable
		}
		assert.Equal(t, status, s.get().StatusCode, name)
	}
}

// brittle is an error whose methods a nil pointer does not survive, as those of an
// echo.HTTPError.
type brittle struct{ text string }

func (b *brittle) Error() string   { return b.text }
func (b *brittle) Is(e error) bool { return e.Error() == b.text }

// drain: a client that writes all of a large body before it reads sees the refusal.
func drain(t *testing.T, adapter Adapter) {
	s := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{Limiter: newLimiter(t, api(0)), DrainRefused: 4 << 20}})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	const size = 4 << 20
	_, err = fmt.Fprintf(conn, "POST /users/7 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
	require.NoError(t, err)
	n, err := io.CopyN(conn, zeros{}, size)
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	assert.Equal(t, http.StatusTooManyRequests, response.StatusCode)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

package echomw_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/echomw"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// frozenRedis is a store whose Redis decides nothing until it is thawed.
func frozenRedis(t *testing.T) (store slidingwindow.Store, thaw func()) {
	t.Helper()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, AlwaysPipelining: true})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	store, err = slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: time.Minute})
	require.NoError(t, err)
	_, err = newLimiterOn(t, store, api(1)).Allow(t.Context(), "warm up")
	require.NoError(t, err)
	require.NoError(t, server.Freeze())
	thawed := false
	thaw = func() {
		if !thawed {
			thawed = true
			require.NoError(t, server.Thaw())
		}
	}
	t.Cleanup(thaw)
	return store, thaw
}

// leaving serves a limited route, to which clients send requests and then leave, or close
// their side, while Redis is asked. It returns their connections when the server knows.
func leaving(t *testing.T, config echomw.Config, handler echo.HandlerFunc, clients int, leave func(*net.TCPConn) error) []net.Conn {
	t.Helper()
	asked := make(chan context.Context)
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			asked <- c.Request().Context()
			return next(c)
		}
	}, echomw.RateLimiterWithConfig(config))
	e.GET("/", handler)
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	conns := make([]net.Conn, clients)
	for i := range conns {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		ctx := <-asked
		require.NoError(t, leave(conn.(*net.TCPConn)))
		<-ctx.Done()
		conns[i] = conn
	}
	return conns
}

func TestClientThatClosesItsSideGetsItsAnswer(t *testing.T) {
	t.Parallel()
	const clients = 20
	store, thaw := frozenRedis(t)
	limiter := newLimiterOn(t, store, api(clients-5))
	conns := leaving(t, echomw.Config{Limiter: limiter, Key: constant("k"), SkipFailed: true},
		func(c echo.Context) error { return c.String(http.StatusOK, "served") }, clients, (*net.TCPConn).CloseWrite)
	thaw()
	answers := map[int]int{}
	for _, conn := range conns {
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		_ = res.Body.Close()
		answers[res.StatusCode]++
	}
	assert.Equal(t, map[int]int{200: clients - 5, 429: 5}, answers, "as if nobody had closed anything")
}

func TestWhatAClientThatLeftHadTakenIsGivenBack(t *testing.T) {
	t.Parallel()
	const clients = 20
	for name, handler := range map[string]echo.HandlerFunc{
		"the handler notices": func(c echo.Context) error { return c.Request().Context().Err() },
		"nothing is answered": func(echo.Context) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, thaw := frozenRedis(t)
			limiter := newLimiterOn(t, store, api(clients))
			served := make(chan struct{}, clients)
			leaving(t, echomw.Config{Limiter: limiter, Key: constant("k"), SkipFailed: true}, func(c echo.Context) error {
				defer func() { served <- struct{}{} }()
				return handler(c)
			}, clients, (*net.TCPConn).Close)
			thaw()
			for range clients {
				select {
				case <-served:
				case <-time.After(20 * time.Second):
					t.Fatal("the requests were not served")
				}
			}
			assert.Eventually(t, func() bool {
				d, err := limiter.Peek(t.Context(), "k")
				return err == nil && d.Remaining == clients
			}, 10*time.Second, time.Millisecond)
		})
	}
}

// The store is asked with a context that ends at the deadline of the request only.
func TestContextOfTheDecision(t *testing.T) {
	type key struct{}
	ctx, leave := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	leave()
	deadline := time.Now().Add(time.Hour)
	late, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	store := &stubStore{decision: slidingwindow.NewDecision(1, slidingwindow.Status{Limit: api(9), Remaining: 8})}
	store.asked = func(ctx context.Context) {
		assert.NoError(t, ctx.Err())
		assert.Equal(t, "value", ctx.Value(key{}))
	}
	e := newEcho(echomw.RateLimiter(newLimiterOn(t, store, api(9))))
	assert.Equal(t, 200, get(e, within(ctx)).Code)
	_, has := store.ctx.Deadline()
	assert.False(t, has)
	assert.Equal(t, 200, get(e, within(late)).Code)
	bound, has := store.ctx.Deadline()
	assert.True(t, has)
	assert.Equal(t, deadline, bound)
}

func TestDeadlineOfTheRequestBoundsTheDecision(t *testing.T) {
	t.Parallel()
	store, _ := frozenRedis(t)
	var seen error
	e := newEcho(spy(&seen), middleware.ContextTimeout(10*time.Millisecond), echomw.RateLimiter(newLimiterOn(t, store, api(9))))
	assert.Equal(t, http.StatusServiceUnavailable, get(e).Code)
	assert.ErrorIs(t, seen, context.DeadlineExceeded)
}

func within(ctx context.Context) requestOption {
	return func(r *http.Request) { *r = *r.WithContext(ctx) }
}

func TestStatusOfAClientThatLeft(t *testing.T) {
	left, leave := context.WithCancel(t.Context())
	leave()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	canceled := fmt.Errorf("users: %w", context.Canceled)
	closed := fmt.Errorf("%w: %w", slidingwindow.ErrStoreUnavailable, context.Canceled)
	limiter := newLimiter(t, newClock(), api(100))
	fails := func(err error) echomw.KeyFunc { return func(echo.Context) (string, error) { return "", err } }
	for name, test := range map[string]struct {
		ctx    context.Context
		config echomw.Config
		status int
	}{
		"key":         {left, echomw.Config{Key: fails(canceled)}, 499},
		"user":        {left, echomw.Config{Key: echomw.KeyByUser(fails(canceled))}, 499},
		"cost":        {left, echomw.Config{Cost: func(echo.Context) (int64, error) { return 0, canceled }}, 499},
		"limits":      {left, echomw.Config{Limits: func(echo.Context) ([]slidingwindow.Limit, error) { return nil, canceled }}, 499},
		"store":       {left, echomw.Config{Limiter: newLimiterOn(t, &stubStore{err: canceled}, api(1))}, 499},
		"chosen":      {left, echomw.Config{Key: fails(canceled), Status: echomw.StatusCodes{Left: 444}}, 444},
		"not left":    {t.Context(), echomw.Config{Key: fails(canceled)}, 403},
		"deadline":    {late, echomw.Config{Key: fails(context.DeadlineExceeded)}, 403},
		"another's":   {left, echomw.Config{Key: fails(errors.New("no such user"))}, 403},
		"own status":  {left, echomw.Config{Key: fails(&echo.HTTPError{Code: 502, Message: "x", Internal: canceled})}, 502},
		"outage":      {left, echomw.Config{Limiter: newLimiterOn(t, &stubStore{err: closed}, api(1))}, 503},
		"no key":      {left, echomw.Config{Key: constant("")}, 403},
		"no header":   {left, echomw.Config{Key: echomw.KeyByHeader("X-API-Key")}, 400},
		"not at all":  {left, echomw.Config{}, 200},
		"late, works": {late, echomw.Config{Limiter: newLimiterOn(t, &stubStore{err: context.DeadlineExceeded}, api(1))}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			var seen error
			if test.config.Limiter == nil {
				test.config.Limiter = limiter
			}
			rec := get(newEcho(spy(&seen), echomw.RateLimiterWithConfig(test.config)), within(test.ctx))
			assert.Equal(t, test.status, rec.Code)
			if test.status == 499 || test.status == 444 {
				assert.ErrorIs(t, seen, context.Canceled)
				assert.Empty(t, rec.Header().Get("Retry-After"))
				assert.JSONEq(t, `{"message":"Client Closed Request"}`, rec.Body.String())
			}
		})
	}
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// many is a bound that no test reaches.
var many = slidingwindow.PerDay(1_000_000)

// hour are settings with which nothing leaves the window during a test.
var hour = settings{Max: 5, WindowMS: 3_600_000, Cost: 1}

// playground is a page on stores; one in memory unless some are given.
func playground(t *testing.T, most slidingwindow.Limit, stores ...slidingwindow.Store) (url string) {
	t.Helper()
	if stores == nil {
		stores = []slidingwindow.Store{memory.New()}
	}
	board := newBoard(hour)
	handler, err := newHandler(board, stores, len(stores) > 1, most, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Cleanup(board.close) // before: the server waits for the streams
	return server.URL
}

func post(t *testing.T, url, body string, header ...string) (resp *http.Response, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (resp *http.Response, text string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

func stateOf(t *testing.T, url string) (s snapshot) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/state", nil)
	require.NoError(t, err)
	_, text := do(t, req)
	require.NoError(t, json.Unmarshal([]byte(text), &s))
	return s
}

// events reads a stream of events until the test ends.
type events struct {
	*bufio.Scanner
	leave context.CancelFunc
}

func open(t *testing.T, url string) (stream events, status int) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	t.Cleanup(leave)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/events", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() }) // it was left
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(nil, 1<<20)
	return events{scanner, leave}, resp.StatusCode
}

func (e events) next(t *testing.T) (m message) {
	t.Helper()
	for e.Scan() {
		if data, found := strings.CutPrefix(e.Text(), "data: "); found {
			require.NoError(t, json.Unmarshal([]byte(data), &m))
			return m
		}
	}
	require.FailNow(t, "the stream has ended", "%v", e.Err())
	return m
}

func TestABurstIsRefusedPastMax(t *testing.T) {
	t.Parallel()
	url := playground(t, many)
	for i := range 8 {
		resp, _ := post(t, url+"/api/hit/0", "")
		if i < 5 {
			assert.Equal(t, http.StatusNoContent, resp.StatusCode, "request %d", i)
			assert.Equal(t, fmt.Sprint(4-i), resp.Header.Get("X-RateLimit-Remaining"))
		} else {
			assert.Equal(t, http.StatusTooManyRequests, resp.StatusCode, "request %d", i)
			assert.NotEmpty(t, resp.Header.Get("Retry-After"))
		}
	}
	state := stateOf(t, url)
	assert.Equal(t, []counts{{allowed: 5, refused: 3, waiting: 0, failed: 0}}, state.Instances)
	assert.Equal(t, counts{allowed: 5, refused: 3}, state.Fixed)
	assert.Len(t, state.Hits, 8)
}

func TestSettingsBeginAnew(t *testing.T) {
	t.Parallel()
	url := playground(t, many)
	for range 6 {
		post(t, url+"/api/hit/0", "")
	}
	resp, text := post(t, url+"/api/settings", `{"max": 7, "windowMs": 60000, "cost": 3}`)
	require.Equal(t, http.StatusNoContent, resp.StatusCode, text)
	state := stateOf(t, url)
	assert.Equal(t, settings{Max: 7, WindowMS: 60_000, Cost: 3}, state.Settings)
	assert.NotNil(t, state.Hits, "the page appends to it, so it is no null")
	assert.Empty(t, state.Hits)
	assert.Equal(t, []counts{{allowed: 0, refused: 0, waiting: 0, failed: 0}}, state.Instances)

	resp, _ = post(t, url+"/api/hit/0", "")
	assert.Equal(t, http.StatusNoContent, resp.StatusCode)
	assert.Equal(t, "4", resp.Header.Get("X-RateLimit-Remaining"))
}

func TestPlacesAreAheadOfNow(t *testing.T) {
	t.Parallel()
	url := playground(t, many)
	place := func() (h hit) {
		resp, text := post(t, url+"/api/wait/0", "")
		require.Equal(t, http.StatusOK, resp.StatusCode, text)
		require.NoError(t, json.Unmarshal([]byte(text), &h))
		return h
	}
	for range 5 {
		assert.Equal(t, allowed, place().Outcome)
	}
	for range 5 {
		h := place()
		assert.Equal(t, waiting, h.Outcome)
		assert.Positive(t, h.DelayMS)
		assert.LessOrEqual(t, h.DelayMS, hour.WindowMS)
	}
	assert.Equal(t, refused, place().Outcome, "it would be two windows ahead")
	state := stateOf(t, url)
	assert.Equal(t, []counts{{allowed: 5, refused: 1, waiting: 5, failed: 0}}, state.Instances)
	assert.Equal(t, counts{allowed: 0, refused: 0}, state.Fixed, "a fixed window has no places")
}

func TestEventsTellEachRequest(t *testing.T) {
	t.Parallel()
	url := playground(t, many)
	post(t, url+"/api/hit/0", "")
	stream, status := open(t, url)
	require.Equal(t, http.StatusOK, status)
	first := stream.next(t).Snapshot
	require.NotNil(t, first)
	assert.Len(t, first.Hits, 1)
	sum := first.Instances[0]
	for range 7 {
		post(t, url+"/api/hit/0", "")
		h := stream.next(t).Hit
		require.NotNil(t, h)
		sum[h.Outcome]++
	}
	assert.Equal(t, stateOf(t, url).Instances[0], sum)
	assert.Equal(t, counts{allowed: 5, refused: 3, waiting: 0, failed: 0}, sum)
}

func TestAReaderThatIsTooFarBehindLosesItsStream(t *testing.T) {
	t.Parallel()
	board := newBoard(hour)
	board.begin(1, false)
	stream, ok := board.subscribe()
	require.True(t, ok)
	for range streamRoom + 1 {
		board.record(hit{Outcome: allowed}, true)
	}
	read := 0
	for range stream { // ends, as it was closed
		read++
	}
	assert.Equal(t, streamRoom, read)
	board.unsubscribe(stream) // does no harm
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	url := playground(t, many)
	var first events
	for i := range mostStreams {
		stream, status := open(t, url)
		require.Equal(t, http.StatusOK, status)
		if i == 0 {
			first = stream
		}
	}
	_, status := open(t, url)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	first.leave()
	assert.Eventually(t, func() bool {
		_, status := open(t, url)
		return status == http.StatusOK
	}, time.Minute, 50*time.Millisecond, "who leaves makes room")
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	url := playground(t, slidingwindow.PerDay(1))
	resp, _ := post(t, url+"/api/hit/0", "")
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	for _, path := range []string{"/api/hit/0", "/api/wait/0", "/api/settings"} {
		resp, text := post(t, url+path, `{"max": 7, "windowMs": 60000, "cost": 3}`)
		assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, path)
		assert.Equal(t, "1", resp.Header.Get("Retry-After"), path)
		assert.Contains(t, text, "the playground takes 1 requests", path)
	}
	assert.Equal(t, hour, stateOf(t, url).Settings)
}

func TestBadRequestsSayWhatIsAllowed(t *testing.T) {
	t.Parallel()
	url := playground(t, many)
	for _, test := range []struct {
		path, body string
		status     int
		says       []string
	}{
		{"/api/settings", `{"max": 0, "windowMs": 999, "cost": 1}`, 400, []string{"max is 0; allowed: 1 to 100", "windowMs is 999; allowed: 1000 to 60000"}},
		{"/api/settings", `{"max": 101, "windowMs": 60001, "cost": 101}`, 400, []string{"max is 101", "windowMs is 60001", "cost is 101; allowed: 1 to 100"}},
		{"/api/settings", `{"max": 5, "windowMs": 1000, "cost": 6}`, 400, []string{"cost is 6; allowed: 1 to 5"}},
		{"/api/settings", `{"max": 5, "window": 1}`, 400, []string{`unknown field "window"`}},
		{"/api/settings", `{"max": 5, "windowMs": 1000, "cost": 1} {}`, 400, []string{"more than one value"}},
		{"/api/settings", `{"max": 5` + strings.Repeat(" ", mostBody) + `}`, 413, []string{"more than 1024 bytes"}},
		{"/api/hit/1", "", 404, []string{`instance is "1"; allowed: 0 to 0`}},
		{"/api/wait/x", "", 404, []string{`instance is "x"`}},
	} {
		resp, text := post(t, url+test.path, test.body)
		assert.Equal(t, test.status, resp.StatusCode, "%s %.60s: %s", test.path, test.body, text)
		for _, says := range test.says {
			assert.Contains(t, text, says)
		}
	}
	assert.Empty(t, stateOf(t, url).Hits)
}

func TestOtherSitesAreKeptOut(t *testing.T) {
	t.Parallel()
	url := playground(t, many)
	resp, _ := post(t, url+"/api/hit/0", "", "Sec-Fetch-Site", "cross-site")
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/state", nil)
	require.NoError(t, err)
	req.Host = "attacker.example"
	resp, _ = do(t, req)
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	assert.Empty(t, stateOf(t, url).Hits)
}

func TestTheFixedWindowLetsTheEdgeBurstThrough(t *testing.T) {
	t.Parallel()
	s := settings{Max: 5, WindowMS: 10_000, Cost: 1}
	start := time.Now()
	var f fixedWindow
	take := func(after time.Duration, n int) (took int) {
		for range n {
			if f.take(start.Add(after), s) {
				took++
			}
		}
		return took
	}
	assert.Equal(t, 1, take(0, 1))
	assert.Equal(t, 4, take(9_900*time.Millisecond, 6))
	assert.Equal(t, 5, take(10*time.Second, 6))
	assert.Equal(t, 0, take(19_999*time.Millisecond, 1))
	s.Cost = 3
	assert.Equal(t, 1, take(20*time.Second, 2))
}

// running is the whole program, which end ends.
func running(t *testing.T, environ ...string) (url string, end func() error) {
	t.Helper()
	port, err := subprocess.FreePort()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- run(ctx, append(environ, fmt.Sprint("PORT=", port)), slog.New(slog.DiscardHandler), func(url string) { ready <- url })
	}()
	select {
	case url = <-ready:
	case err := <-ended:
		require.FailNow(t, "it does not serve", "%v", err)
	}
	end = func() error { cancel(); return <-ended }
	return url, end
}

func TestTwoInstancesOnOneRedisShareTheQuota(t *testing.T) {
	t.Parallel()
	prefix := redistest.Prefix(t, redistest.Client(t))
	url, end := running(t, "REDIS_URL="+redistest.URL(t), "REDIS_PREFIX="+prefix, "REDIS_TIMEOUT=30s")
	resp, text := post(t, url+"/api/settings", `{"max": 6, "windowMs": 60000, "cost": 1}`)
	require.Equal(t, http.StatusNoContent, resp.StatusCode, text)
	for i := range 10 {
		resp, _ := post(t, fmt.Sprint(url, "/api/hit/", i%2), "")
		want := http.StatusNoContent
		if i >= 6 {
			want = http.StatusTooManyRequests
		}
		assert.Equal(t, want, resp.StatusCode, "request %d", i)
	}
	state := stateOf(t, url)
	assert.True(t, state.Shared)
	each := counts{allowed: 3, refused: 2, waiting: 0, failed: 0}
	assert.Equal(t, []counts{each, each}, state.Instances)
	assert.NoError(t, end())
}

func TestItServesThePageHereOnlyAndEndsWithOpenStreams(t *testing.T) {
	t.Parallel()
	url, end := running(t, "HOST=0.0.0.0")
	assert.Contains(t, url, "http://127.0.0.1:")
	stream, status := open(t, url)
	require.Equal(t, http.StatusOK, status)
	require.NotNil(t, stream.next(t).Snapshot)
	for _, file := range []string{"/", "/app.js", "/style.css", "/icon.svg"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+file, nil)
		require.NoError(t, err)
		resp, _ := do(t, req)
		assert.Equal(t, http.StatusOK, resp.StatusCode, file)
		assert.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'self'", file)
	}
	require.NoError(t, end())
	for stream.Scan() { // until the server has ended the stream
		continue
	}
	assert.NoError(t, stream.Err())
}

package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
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

// runMain makes the test binary be the program.
const runMain = "NETHTTP_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	redistest.Main(m)
}

// serve is the URL of a server with a limit of 2.
func serve(t *testing.T, store slidingwindow.Store, window time.Duration) string {
	t.Helper()
	limiter, err := slidingwindow.New(store, slidingwindow.Limit{Name: "api", Max: 2, Window: window})
	require.NoError(t, err)
	server := httptest.NewServer(limit(limiter, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "served")
	})))
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, url string) (status int, retryAfter, body string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header.Get("Retry-After"), string(text)
}

func TestClientsAreRefusedUntilRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Now()
	store, err := memory.NewWithConfig(memory.Config{Clock: func() time.Time { return now }})
	require.NoError(t, err)
	url := serve(t, store, 10*time.Second)

	expect := func(wantStatus int, wantRetryAfter, wantBody string) {
		t.Helper()
		status, retryAfter, body := get(t, url)
		assert.Equal(t, wantStatus, status)
		assert.Equal(t, wantRetryAfter, retryAfter)
		assert.Equal(t, wantBody, body)
	}
	expect(http.StatusOK, "", "served")
	now = now.Add(500 * time.Millisecond)
	expect(http.StatusOK, "", "served")
	expect(http.StatusTooManyRequests, "10", "too many requests\n") // 9.5 seconds
	now = now.Add(9 * time.Second)
	expect(http.StatusTooManyRequests, "1", "too many requests\n") // half a second
	now = now.Add(time.Second)
	expect(http.StatusOK, "", "served")
}

func TestTwoServersOnOneRedisShareAQuota(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	prefix := redistest.Prefix(t, client)
	var urls []string
	for range 2 {
		store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: prefix, Timeout: 30 * time.Second})
		require.NoError(t, err)
		urls = append(urls, serve(t, store, time.Hour))
	}
	for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests, http.StatusTooManyRequests} {
		status, _, _ := get(t, urls[i%2])
		assert.Equal(t, want, status, "request %d", i)
	}
}

func TestWithoutADecisionNothingIsServed(t *testing.T) {
	t.Parallel()
	client := redistest.Connect(t, redistest.URL(t))
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{})
	require.NoError(t, err)
	client.Close()
	status, _, body := get(t, serve(t, store, time.Hour))
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "try again later\n", body)
}

func TestClientsAreToldApartByAddress(t *testing.T) {
	t.Parallel()
	for remote, client := range map[string]string{
		"198.51.100.7:4711":          "198.51.100.7",
		"[::ffff:198.51.100.7]:4711": "198.51.100.7",
		"[2001:db8::1]:4711":         "2001:db8::/56",
		"[2001:db8:0:ff::2]:4711":    "2001:db8::/56",
		"[fe80::1%eth0]:4711":        "fe80::/56",
		"@":                          "@",
	} {
		assert.Equal(t, client, clientOf(&http.Request{RemoteAddr: remote}), remote)
	}
}

func TestProgramServes(t *testing.T) {
	t.Parallel()
	port, err := subprocess.FreePort()
	require.NoError(t, err)
	program := exec.CommandContext(t.Context(), os.Args[0])
	program.Env = append(os.Environ(), runMain+"=1", "REDIS_URL=memory://", fmt.Sprint("PORT=", port), "LIMITS_API_MAX=1", "LIMITS_API_WINDOW=1h")
	stderr, err := program.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	defer func() {
		assert.NoError(t, program.Process.Kill())
		_ = program.Wait() // it was killed
	}()
	lines := bufio.NewScanner(stderr)
	url := ""
	for url == "" && lines.Scan() {
		_, url, _ = strings.Cut(lines.Text(), "serving ")
	}
	require.NotEmpty(t, url)
	status, _, body := get(t, url)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "hello\n", body)
	status, retryAfter, _ := get(t, url)
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.NotEmpty(t, retryAfter)
}

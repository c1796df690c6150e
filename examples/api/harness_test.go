package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
)

// runMain makes the test binary be the program, for tests of signals and exit codes.
const runMain = "API_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	redistest.Main(m)
}

// instance is the whole program, but for its process.
type instance struct {
	url  string
	log  *logBuffer
	end  context.CancelFunc // what a signal does
	done chan struct{}      // closed when run has returned, after err is set
	err  error
}

// start runs an instance on a free port until the test ends.
func start(t *testing.T, environ ...string) *instance {
	t.Helper()
	for {
		i, err := tryStart(environ)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue // something else was faster to take the port
		}
		require.NoError(t, err)
		t.Cleanup(func() {
			i.end()
			<-i.done
		})
		return i
	}
}

func tryStart(environ []string) (*instance, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	i := &instance{log: &logBuffer{}, end: end, done: make(chan struct{})}
	ready := make(chan string, 1)
	go func() {
		environ := append([]string{"PORT=" + port}, environ...)
		i.err = run(ctx, environ, slog.New(slog.NewTextHandler(i.log, nil)), func(addr string) { ready <- addr })
		close(i.done)
	}()
	select {
	case addr := <-ready:
		i.url = "http://" + addr
		return i, nil
	case <-i.done:
		end()
		return nil, i.err
	}
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port), listener.Close()
}

// onRedis is the environment of instances that share the counts of this test.
func onRedis(t *testing.T, environ ...string) []string {
	t.Helper()
	url := redistest.URL(t)
	prefix := redistest.Prefix(t, redistest.Client(t))
	// A busy computer is no reason to fail.
	return append([]string{"REDIS_URL=" + url, "REDIS_PREFIX=" + prefix, "REDIS_TIMEOUT=10s"}, environ...)
}

type response struct {
	status int
	header http.Header
	body   string
}

func (r response) reply(t *testing.T) (decoded reply) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(r.body), &decoded), r.body)
	return decoded
}

func (i *instance) get(t *testing.T, path string, headers ...string) response {
	t.Helper()
	return i.do(t, http.MethodGet, path, "", headers...)
}

func (i *instance) login(t *testing.T) response {
	t.Helper()
	return i.do(t, http.MethodPost, "/api/users/login", `{"username": "ada", "password": "x"}`, "Content-Type", "application/json")
}

// do sends a request with headers given as name, value, name, value...
func (i *instance) do(t *testing.T, method, path, body string, headers ...string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, i.url+path, strings.NewReader(body))
	require.NoError(t, err)
	for n := 0; n < len(headers); n += 2 {
		req.Header.Set(headers[n], headers[n+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return response{status: resp.StatusCode, header: resp.Header, body: strings.TrimSpace(string(text))}
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

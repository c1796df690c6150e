package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestShutdownAnswersRequestsInFlight(t *testing.T) {
	t.Parallel()
	i := start(t, onRedis(t)...)
	addr := strings.TrimPrefix(i.url, "http://")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()

	// The server says 100 Continue when the handler begins to read the body: from then
	// on the request is in flight for sure.
	const body = `{"username": "ada", "password": "x"}`
	_, err = io.WriteString(conn, "POST /api/users/login HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"+
		"Content-Length: "+strconv.Itoa(len(body))+"\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusContinue, resp.StatusCode)

	i.end()
	for { // until the shutdown has begun
		other, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		_ = other.Close()
	}
	select {
	case <-i.done:
		t.Fatal("it ended with a request in flight")
	default:
	}

	_, err = io.WriteString(conn, body)
	require.NoError(t, err)
	resp, err = http.ReadResponse(in, nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	<-i.done
	assert.NoError(t, i.err)
	assert.Contains(t, i.log.String(), "stopped")
}

func TestSignalsEndTheProcessWith0(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		port, err := freePort()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), runMain+"=1", "REDIS_URL=memory://", "PORT="+port)
		stderr, err := cmd.StderrPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(stderr)
		for lines.Scan() && !strings.Contains(lines.Text(), "listening") {
			continue
		}
		require.NoError(t, cmd.Process.Signal(signal))
		rest, err := io.ReadAll(stderr)
		require.NoError(t, err)
		assert.NoError(t, cmd.Wait(), "%v: %s", signal, rest)
	}
}

func TestBadSettingsAreSaid(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		environ []string
		want    []string
	}{
		{"no REDIS_URL", nil, []string{"REDIS_URL is required"}},
		{"empty REDIS_URL", []string{"REDIS_URL="}, []string{"REDIS_URL is required"}},
		{"every fault at once", []string{"PORT=http", "LIMITS_LOGIN_WINDOW=10"}, []string{"REDIS_URL is required", "PORT", "LIMITS_LOGIN_WINDOW"}},
		{"whom a limit counts", []string{"REDIS_URL=memory://", "LIMITS_API_BY=user"}, []string{"LIMITS_API_BY", `"user" is not known`}},
		{"no secret", []string{"REDIS_URL=memory://", "LIMITS_API_BY=hashed:ip"}, []string{"LIMITS_API_BY", "CLIENT_KEY_SECRET"}},
		{"short secret", []string{"REDIS_URL=memory://", "CLIENT_KEY_SECRET=hunter2"}, []string{"CLIENT_KEY_SECRET"}},
		{"no such Redis", []string{"REDIS_URL=redis://user:hunter2@127.0.0.1:1"}, []string{"127.0.0.1:1"}},
		{"no such host", []string{"REDIS_URL=memory://", "HOST=192.0.2.1"}, []string{"cannot listen", "HOST in the environment"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log logBuffer
			err := run(t.Context(), append([]string{}, test.environ...), slog.New(slog.NewTextHandler(&log, nil)), nil)
			require.Error(t, err)
			for _, part := range test.want {
				assert.ErrorContains(t, err, part)
			}
			assert.NotContains(t, err.Error()+log.String(), "hunter2")
		})
	}
}

func TestToldToEndBeforeItServes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.NoError(t, run(ctx, []string{"REDIS_URL=redis://127.0.0.1:1"}, slog.New(slog.DiscardHandler), nil))
}

func TestConnectionIsLogged(t *testing.T) {
	t.Parallel()
	i := start(t, onRedis(t)...)
	assert.Contains(t, i.log.String(), "redis connected")
	assert.Contains(t, i.log.String(), "listening")
}

func TestSettingsComeFromTheDotEnvFileToo(t *testing.T) {
	t.Chdir(t.TempDir())
	cfg, err := load([]string{"REDIS_URL=memory://"})
	require.NoError(t, err, "there need not be a file")
	assert.Equal(t, "127.0.0.1", cfg.Host)
	assert.Equal(t, 3000, cfg.Port)

	require.NoError(t, os.WriteFile(".env", []byte("REDIS_URL=memory://\nHOST=0.0.0.0\nPORT=4000\n"), 0o600))
	cfg, err = load([]string{"HOST=::1"})
	require.NoError(t, err)
	assert.Equal(t, "::1", cfg.Host)
	assert.Equal(t, 4000, cfg.Port)
}

// The first signal asks, and the second one means it: here the process waits for a
// request that never ends.
func TestSecondSignalEndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	port, err := freePort()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), runMain+"=1", "REDIS_URL=memory://", "PORT="+port)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stderr)
	await := func(text string) {
		for lines.Scan() && !strings.Contains(lines.Text(), text) {
			continue
		}
	}
	await("listening")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "POST /api/users/login HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"+
		"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	require.NoError(t, err)
	_, err = http.ReadResponse(bufio.NewReader(conn), nil) // the handler reads
	require.NoError(t, err)

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	await("shutting down")
	// The signals are given back at about the time of that line, maybe just after it.
	ended := make(chan error, 1)
	go func() {
		_, _ = io.Copy(io.Discard, stderr)
		ended <- cmd.Wait()
	}()
	for err = nil; err == nil; {
		select {
		case err = <-ended:
		default:
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	assert.True(t, status.Signaled(), "it ended by the signal, and not by itself: %v", err)
}

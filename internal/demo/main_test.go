package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

const (
	beDemo = "DEMO_TEST_BE_DEMO" // the test binary is the demo
	beAPI  = "DEMO_TEST_BE_API"  // the test binary is an API that behaves in this way
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(beDemo) != "" && len(os.Args) > 1:
		main()
	case os.Getenv(beAPI) != "":
		fakeAPI(os.Getenv(beAPI))
	default:
		os.Exit(m.Run())
	}
}

// fakeAPI is an API without a limiter: it counts for itself.
func fakeAPI(behaviour string) {
	fmt.Println("this API", behaviour)
	if behaviour == "dies" {
		os.Exit(1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/health/redis", func(http.ResponseWriter, *http.Request) {})
	for path, limit := range map[string]struct {
		name string
		max  int
	}{"/api/products": {"api", apiMax}, "/api/users/login": {"login", loginMax}} {
		n := 0 // the demo sends one request at a time
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if behaviour == "hangs" {
				<-r.Context().Done()
			}
			n++
			allowed := limit.max
			if behaviour == "lets one more through" {
				allowed++
			}
			w.Header().Set("RateLimit", fmt.Sprintf("%q;r=%d;t=60", limit.name, max(0, limit.max-n)))
			if n > allowed {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
	}
	_ = http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), mux)
}

// startDemo runs the demo as a process, with this binary as its API.
func startDemo(t *testing.T, behaviour string, environ ...string) (demo *exec.Cmd, stdout, stderr io.Reader) {
	t.Helper()
	demo = exec.CommandContext(t.Context(), os.Args[0], "-api", os.Args[0])
	demo.Env = append(append(os.Environ(), beDemo+"=1", beAPI+"="+behaviour), environ...)
	stdout, err := demo.StdoutPipe()
	require.NoError(t, err)
	stderr, err = demo.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, demo.Start())
	return demo, stdout, stderr
}

func TestDemoFailsIfTheAPIDoes(t *testing.T) {
	t.Parallel()
	for behaviour, want := range map[string]string{
		"lets one more through": `the limit "api" does not hold: request 11, to instance A: status 200, should be 429`,
		"dies":                  "instance A: it ended while starting",
	} {
		demo, stdout, stderr := startDemo(t, behaviour, "REDIS_URL=memory://")
		go func() { _, _ = io.Copy(io.Discard, stdout) }()
		text, err := io.ReadAll(stderr)
		require.NoError(t, err)
		assert.Contains(t, string(text), want)
		assert.Contains(t, string(text), "instance A wrote:\nthis API "+behaviour)
		assert.Equal(t, exitFailed, exitCode(demo.Wait()), behaviour)
	}
}

func TestNoProgramOutlivesTheDemo(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	for _, test := range []struct {
		signal   os.Signal
		wantCode int
	}{
		{syscall.SIGINT, exitInterrupted},
		{syscall.SIGTERM, exitInterrupted},
		{syscall.SIGHUP, exitInterrupted},
	} {
		demo, stdout, stderr := startDemo(t, "hangs", "REDIS_URL="+server.URL())
		lines := bufio.NewScanner(stdout)
		var pids []int
		for len(pids) < 2 && lines.Scan() {
			if match := regexp.MustCompile(`Instance . .* process (\d+)`).FindStringSubmatch(lines.Text()); match != nil {
				pid, err := strconv.Atoi(match[1])
				require.NoError(t, err)
				pids = append(pids, pid)
			}
		}
		require.Len(t, pids, 2)
		require.NoError(t, demo.Process.Signal(test.signal))
		for lines.Scan() {
			continue
		}
		text, err := io.ReadAll(stderr)
		require.NoError(t, err)
		assert.Equal(t, test.wantCode, exitCode(demo.Wait()), "%v: %s", test.signal, text)
		for _, pid := range pids {
			assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "%v: process %d runs on", test.signal, pid)
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	assert.Equal(t, exitUsage, run(nil))
	assert.Equal(t, exitUsage, run([]string{"-no-such-flag"}))
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

//go:build unix

package faults_test

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

// server is a private Redis, with a connection of its own to break it by.
type server struct {
	*redisserver.Server
	t     *testing.T
	admin rueidis.Client
	pid   int
}

func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	process, err := redisserver.Start(t.Context(), args...)
	return serverOf(t, process, err)
}

func serverOf(t *testing.T, process *redisserver.Server, err error) *server {
	t.Helper()
	require.NoError(t, err)
	s := &server{Server: process, t: t}
	t.Cleanup(func() {
		s.resume() // a stopped process does not end
		assert.NoError(t, s.Stop())
	})
	s.connect()
	return s
}

// connect makes the connection again, after the process has ended.
func (s *server) connect() {
	s.t.Helper()
	var err error
	s.admin, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.Addr()}, DisableCache: true, ForceSingleClient: true})
	require.NoError(s.t, err)
	s.t.Cleanup(s.admin.Close)
	s.pid = s.info("process_id")
}

// info is a number that INFO tells.
func (s *server) info(name string) int {
	s.t.Helper()
	for line := range strings.Lines(s.do("INFO", "everything")) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			number, err := strconv.Atoi(strings.TrimSpace(value))
			require.NoError(s.t, err)
			return number
		}
	}
	require.Fail(s.t, "INFO does not tell "+name)
	return 0
}

// do runs a command. What it replies is "" unless it is a text.
func (s *server) do(command ...string) string {
	s.t.Helper()
	reply := s.admin.Do(s.t.Context(), s.admin.B().Arbitrary(command...).Build())
	if err := reply.Error(); !rueidis.IsRedisNil(err) {
		require.NoError(s.t, err, command)
	}
	text, _ := reply.ToString()
	return text
}

func (s *server) signal(signal os.Signal) {
	s.t.Helper()
	process, err := os.FindProcess(s.pid)
	require.NoError(s.t, err)
	require.NoError(s.t, process.Signal(signal))
}

// hang stops the process: the system keeps its connections and takes what is sent.
func (s *server) hang() { s.signal(syscall.SIGSTOP) }

// resume ends hang.
func (s *server) resume() {
	if s.pid != 0 {
		_ = syscall.Kill(s.pid, syscall.SIGCONT) // it may have ended
	}
}

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
	for line := range strings.Lines(s.do("INFO", "server")) {
		if pid, found := strings.CutPrefix(line, "process_id:"); found {
			s.pid, err = strconv.Atoi(strings.TrimSpace(pid))
			require.NoError(s.t, err)
		}
	}
	require.NotZero(s.t, s.pid)
}

// do runs a command. What it replies is "" unless it is a text.
func (s *server) do(command ...string) string {
	s.t.Helper()
	reply := s.admin.Do(s.t.Context(), s.admin.B().Arbitrary(command...).Build())
	require.NoError(s.t, reply.Error(), command)
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

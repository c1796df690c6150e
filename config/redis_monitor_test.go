package config

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const someAddr = "redis.example:6379"

func watched(t *testing.T, m *monitor) *watchedConn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = theirs.Close() })
	conn, err := m.watch(t.Context(), someAddr, ours)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*watchedConn)
}

func newLoggedMonitor() (*monitor, *bytes.Buffer) {
	out := &bytes.Buffer{}
	return newMonitor(&server{scheme: "redis", addrs: []string{someAddr}}, slog.New(slog.NewTextHandler(out, nil))), out
}

// When a server goes away, each of its connections breaks in its own time.
func TestMonitorCountsALateBreakToTheOldEpisode(t *testing.T) {
	t.Parallel()
	m, out := newLoggedMonitor()
	first, second := watched(t, m), watched(t, m)
	m.markUp(someAddr)
	m.markDown(someAddr, first, errors.New("broken"))
	third := watched(t, m)
	m.markUp(someAddr)
	m.markDown(someAddr, second, errors.New("broken late"))
	assert.Equal(t, 1, strings.Count(out.String(), "redis connection failed"))
	assert.Equal(t, 1, strings.Count(out.String(), "redis reconnected"))
	m.markDown(someAddr, third, errors.New("broken anew"))
	assert.Equal(t, 2, strings.Count(out.String(), "redis connection failed"))
}

func TestMonitorDoesNotBlameTheServerForACallerWhoLeft(t *testing.T) {
	t.Parallel()
	m, out := newLoggedMonitor()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := m.dial(ctx, "127.0.0.1:1", &net.Dialer{Timeout: time.Minute}, nil)
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, out.String())
	assert.Empty(t, m.nodes)
}

func TestMonitorClosesEverythingAtTheEnd(t *testing.T) {
	t.Parallel()
	m, out := newLoggedMonitor()
	open := watched(t, m)
	m.end()
	m.end()
	_, err := open.Read(make([]byte, 1))
	require.Error(t, err)
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = theirs.Close() })
	_, err = m.watch(t.Context(), someAddr, ours)
	require.ErrorIs(t, err, errGaveUp)
	_, err = ours.Write([]byte("x"))
	require.Error(t, err, "it was closed")
	assert.Empty(t, out.String())
}

// Short logins occur in any text, so no search for them may change one.
func TestReasonsOfOurOwnSideAreShownAsTheyAre(t *testing.T) {
	t.Parallel()
	s := &server{username: "dial", password: "e"}
	for _, err := range []error{
		&net.OpError{Op: "dial", Err: errors.New("no route to the network e")},
		errors.New("tls: the certificate of dial has expired"),
	} {
		text := s.reason("", err, 0)
		assert.Contains(t, err.Error(), text)
		failure := s.failure(someAddr, err)
		assert.ErrorIs(t, failure, err)
		assert.Contains(t, failure.Error(), text)
	}
}

// A server that goes on refusing is connected to once a second, and is not down.
func TestMonitorLogsOnceThatAServerRefuses(t *testing.T) {
	t.Parallel()
	m, out := newLoggedMonitor()
	m.markUp(someAddr)
	for range 3 {
		m.markLeft(someAddr, errors.New("READONLY"))
		m.markUp(someAddr)
	}
	assert.Equal(t, 1, strings.Count(out.String(), "redis refuses, connecting again"))
	assert.NotContains(t, out.String(), "reconnected")
}

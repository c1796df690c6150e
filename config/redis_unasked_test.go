package config_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	childVariable = "CONFIG_TEST_UNASKED"
	childAlive    = "the process lives"
)

// A panic of the client would end the process, so it is this program that is run once more.
// What may come unasked is in the tests of package redisconn; these are what Redis sends to
// who connects to it.
func TestProcessLivesThroughWhatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	for name, sends := range map[string]string{
		"as many clients as there may be": "-ERR max number of clients reached\r\n",
		"protected mode":                  "-DENIED Redis is running in protected mode\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program, err := os.Executable()
			require.NoError(t, err)
			child := exec.CommandContext(t.Context(), program, "-test.run=^TestChildOfTheOthers$", "-test.v")
			child.Env = append(os.Environ(), childVariable+"="+sends)
			out, err := child.CombinedOutput()
			require.NoError(t, err, string(out))
			assert.Contains(t, string(out), childAlive)
		})
	}
}

// impatient is a context that ends as soon as the server has been connected to, which is before
// the login.
type impatient struct {
	context.Context
	connected *atomic.Int32
	before    int32
}

func (c impatient) Deadline() (time.Time, bool) { return time.Now().Add(time.Second), true }

func (c impatient) Err() error {
	time.Sleep(2 * time.Millisecond) // for the server to take the connection
	if c.connected.Load() > c.before {
		return context.DeadlineExceeded
	}
	return nil
}

func TestChildOfTheOthers(t *testing.T) {
	sends := os.Getenv(childVariable)
	if sends == "" {
		return
	}
	var full atomic.Bool
	var connected atomic.Int32
	serveWell := oldServer(bulk("redis_version:7.0.0\r\n"))
	kill := make(chan struct{})
	addr := serve(t, func(conn net.Conn) {
		if full.Load() {
			_, _ = io.WriteString(conn, sends)
			connected.Add(1)
			return
		}
		go func() {
			<-kill
			_ = conn.Close()
		}()
		serveWell(conn)
	})
	r, _ := redisAt(t, "redis://"+addr+"?client_cache=0")
	client, err := r.Connect(t.Context())
	require.NoError(t, err)
	full.Store(true)
	close(kill)
	for range 30 {
		ctx := impatient{Context: context.WithoutCancel(t.Context()), connected: &connected, before: connected.Load()}
		require.Error(t, client.Do(ctx, client.B().Arbitrary("PING").Build()).Error())
	}
	assert.Positive(t, connected.Load())
	client.Close()
	fmt.Println(childAlive)
}

// What a server sends without being asked ends the connection, and the next one is made.
func TestUnaskedMessageBreaksTheConnection(t *testing.T) {
	t.Parallel()
	var bad atomic.Bool
	addr := serve(t, func(conn net.Conn) {
		serveWell, theirs := net.Pipe()
		defer func() { _ = serveWell.Close() }()
		go oldServer(bulk("redis_version:7.0.0\r\n"))(theirs)
		go func() { _, _ = io.Copy(serveWell, conn); _ = serveWell.Close() }()
		reader := bufio.NewReader(serveWell)
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			if strings.HasPrefix(line, "+PONG") && bad.CompareAndSwap(true, false) {
				line += "-ERR the proxy closes this connection\r\n"
			}
			if _, err := io.WriteString(conn, line); err != nil {
				return
			}
		}
	})
	r, l := redisAt(t, "redis://"+addr+"?client_cache=0")
	client, err := r.Connect(t.Context())
	require.NoError(t, err)
	defer client.Close()
	bad.Store(true)
	require.NoError(t, ping(t, client))
	require.Eventually(t, func() bool { _ = ping(t, client); return len(l.lines(t)) >= 3 }, patience, poll)
	assert.Equal(t, []string{
		"INFO: redis connected " + addr,
		"WARN: redis connection failed " + addr + " the server sent what is no reply to a command",
		"INFO: redis reconnected " + addr,
	}, l.lines(t))
}

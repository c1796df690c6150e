package redisconn_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/redisconn"
)

const (
	jobVariable = "REDISCONN_TEST_JOB"
	alive       = "alive"
)

// A job is what a server sends that nobody asked for, and when.
type job struct {
	Sends string
	When  string
	Plain bool // over a connection that is not of this package
}

const (
	onAccept     = "as soon as it is connected to"
	afterReplies = "after each reply"
	whileIdle    = "a little after each reply"
)

var unasked = map[string]string{
	"too many clients":      "-ERR max number of clients reached\r\n",
	"protected mode":        "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user.\r\n",
	"loading":               "-LOADING Redis is loading the dataset in memory\r\n",
	"a proxy's error":       "-ERR upstream connect error or disconnect/reset before headers\r\n",
	"OK":                    "+OK\r\n",
	"an array":              "*2\r\n$1\r\na\r\n:1\r\n",
	"HTTP":                  "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
	"garbage":               "\x00\xff\x15\x03\x01 garbage\r\n",
	"a confirmation":        ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
	"a pattern's":           ">3\r\n$10\r\npsubscribe\r\n$1\r\nc\r\n:1\r\n",
	"an endless string":     "$9223372036854775807\r\n",
	"an endless array":      "*9223372036854775807\r\n",
	"a map of a few":        "%-5\r\n",
	"an attribute of a few": "|-1\r\n",
	"a push of a few":       ">-7\r\n",
	"streamed":              "*?\r\n:1\r\n.\r\n",
}

// The process that meets it lives, and makes calls again when the server is well.
func TestProcessLivesThroughWhatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	for name, sends := range unasked {
		for _, when := range []string{onAccept, afterReplies, whileIdle} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				out, err := run(t, job{Sends: sends, When: when})
				require.NoError(t, err, out)
				assert.Contains(t, out, alive)
			})
		}
	}
}

// What this package is for, as long as this holds.
func TestWithoutItTheProcessDies(t *testing.T) {
	t.Parallel()
	for _, when := range []string{onAccept, whileIdle} {
		out, err := run(t, job{Sends: unasked["too many clients"], When: when, Plain: true})
		require.Error(t, err, "this rueidis lives through it %s: is this package needed?", when)
		assert.Contains(t, out, "protocol bug, message handled out of order")
	}
}

func run(t *testing.T, j job) (output string, err error) {
	t.Helper()
	text, err := json.Marshal(j)
	require.NoError(t, err)
	program, err := os.Executable()
	require.NoError(t, err)
	child := exec.CommandContext(t.Context(), program)
	child.Env = append(os.Environ(), jobVariable+"="+string(text))
	out, err := child.CombinedOutput()
	return string(out), err
}

// meet is the job in its own process.
func meet(text string) {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		panic(err)
	}
	server := newServer(j)
	dial := redisconn.Dial
	if j.Plain {
		dial = func(ctx context.Context, addr string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", addr)
		}
	}
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:       []string{server.addr},
		ForceSingleClient: true, // it makes a client without a connection
		AlwaysPipelining:  true,
		DisableRetry:      true,
		PipelineMultiplex: -1,
		ConnWriteTimeout:  time.Second,
		DialCtxFn: func(ctx context.Context, addr string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
			conn, err := dial(ctx, addr, dialer, config)
			if _, impatient := ctx.Value(impatience{}).(bool); impatient {
				<-ctx.Done() // between connecting and the login
			}
			return conn, err
		},
	})
	if client == nil {
		panic(err)
	}
	for i := range 30 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		if j.When == onAccept && i%2 == 0 {
			ctx = context.WithValue(ctx, impatience{}, true)
		}
		client.Do(ctx, client.B().Arbitrary("PING").Build())
		cancel()
		time.Sleep(3 * time.Millisecond)
	}
	close(server.well)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := client.Do(ctx, client.B().Arbitrary("PING").Build()).Error()
		cancel()
		if err == nil {
			break
		}
	}
	client.Close()
	fmt.Println(alive)
}

type impatience struct{}

type server struct {
	addr string
	well chan struct{} // closed: it does nothing odd any more
}

func newServer(j job) *server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	s := &server{addr: listener.Addr().String(), well: make(chan struct{})}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn, j)
		}
	}()
	return s
}

func (s *server) isWell() bool {
	select {
	case <-s.well:
		return true
	default:
		return false
	}
}

func (s *server) serve(conn net.Conn, j job) {
	defer func() { _ = conn.Close() }()
	if j.When == onAccept && !s.isWell() {
		_, _ = io.WriteString(conn, j.Sends)
		return
	}
	reader := bufio.NewReader(conn)
	for {
		command, err := readCommand(reader)
		if err != nil {
			return
		}
		reply := "+OK\r\n"
		switch command[0] {
		case "HELLO":
			reply = "%1\r\n+proto\r\n:3\r\n"
		case "PING":
			reply = "+PONG\r\n"
			if j.When == afterReplies && !s.isWell() {
				reply += j.Sends
			}
		}
		if _, err := io.WriteString(conn, reply); err != nil {
			return
		}
		if command[0] == "PING" && j.When == whileIdle && !s.isWell() {
			time.Sleep(time.Millisecond)
			_, _ = io.WriteString(conn, j.Sends)
		}
	}
}

func readCommand(reader *bufio.Reader) (words []string, err error) {
	number := func() (int, error) {
		line, err := reader.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number()
	for range n {
		size, errSize := number()
		if errSize != nil {
			return nil, errSize
		}
		word := make([]byte, size+2)
		if _, err := io.ReadFull(reader, word); err != nil {
			return nil, err
		}
		words = append(words, string(word[:size]))
	}
	return words, err
}

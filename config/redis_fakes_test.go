package config_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// serve runs a server that does with each connection what handle does.
func serve(t *testing.T, handle func(net.Conn)) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				handle(conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

// blackHole accepts and never answers.
func blackHole(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// answering gives every command the same answer.
func answering(answer string) func(net.Conn) {
	return func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			if _, err := readCommand(reader); err != nil {
				return
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	}
}

// oldServer speaks just enough of the protocol to be connected to and asked for its
// version.
func oldServer(info string) func(net.Conn) {
	return func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		for {
			args, err := readCommand(reader)
			if err != nil {
				return
			}
			reply := "+OK\r\n"
			switch args[0] {
			case "HELLO":
				reply = "%1\r\n+proto\r\n:3\r\n"
			case "CLUSTER":
				reply = "-ERR This instance has cluster support disabled\r\n"
			case "PING":
				reply = "+PONG\r\n"
			case "INFO":
				reply = info
			}
			if _, err := io.WriteString(conn, reply); err != nil {
				return
			}
		}
	}
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

func readCommand(reader *bufio.Reader) (args []string, err error) {
	length := func() (int, error) {
		line, err := reader.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := length()
	if err != nil {
		return nil, err
	}
	for range n {
		size, err := length()
		if err != nil {
			return nil, err
		}
		arg := make([]byte, size+2)
		if _, err := io.ReadFull(reader, arg); err != nil {
			return nil, err
		}
		args = append(args, string(arg[:size]))
	}
	return args, nil
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// browser makes requests over connections that it keeps. It reads no more of an answer than it must:
// what the clients cost, the app could not have of the same processors.
type browser struct {
	addr string
	idle chan *connection // those without a request
}

type connection struct {
	net.Conn      // nil until the first request, and after an error
	read          *bufio.Reader
	requestBuffer []byte
}

func newBrowser(addr string, connections int) *browser {
	b := &browser{addr: addr, idle: make(chan *connection, connections)}
	for range connections {
		b.idle <- &connection{read: bufio.NewReader(nil)}
	}
	return b
}

// get requests the route for a key. 200 and 429 are answers.
func (b *browser) get(ctx context.Context, key string) (allowed bool, err error) {
	c := <-b.idle
	defer func() { b.idle <- c }()
	if c.Conn == nil {
		if c.Conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", b.addr); err != nil {
			return false, err
		}
		c.read.Reset(c.Conn)
	}
	status, err := c.exchange(key)
	if err == nil && status != 200 && status != 429 {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		_ = c.Close()
		c.Conn = nil
	}
	return status == 200, err
}

func (c *connection) exchange(key string) (status int, err error) {
	c.requestBuffer = append(c.requestBuffer[:0], "GET /orders/42 HTTP/1.1\r\nHost: localhost\r\n"+keyHeader+": "...)
	c.requestBuffer = append(append(c.requestBuffer, key...), "\r\n\r\n"...)
	if err := c.SetDeadline(time.Now().Add(appTimeout)); err != nil {
		return 0, err
	}
	if _, err := c.Write(c.requestBuffer); err != nil {
		return 0, err
	}
	return readResponse(c.read)
}

var contentLength = []byte("Content-Length: ")

// readResponse reads an answer of the app, whose bodies are short and so have a Content-Length.
func readResponse(r *bufio.Reader) (status int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, fmt.Errorf("not an answer in HTTP/1.1: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, err
	}
	length := -1
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return 0, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, contentLength); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		}
	}
	if length < 0 {
		return 0, fmt.Errorf("status %d without a Content-Length", status)
	}
	if _, err = r.Discard(length); err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	return status, nil
}

// close ends the connections, after the last request.
func (b *browser) close() {
	for range cap(b.idle) {
		if c := <-b.idle; c.Conn != nil {
			_ = c.Close()
		}
	}
}

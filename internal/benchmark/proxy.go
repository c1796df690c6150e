package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"time"
)

const (
	proxyChunk    = 64 << 10
	proxyInFlight = 4096 // chunks of a direction: the network must not push back
)

// proxy holds up what goes to a Redis and what comes from it, as a network does. It is a process of
// its own, so that what it costs is nobody's.
func (o order) proxy(ctx context.Context) (job, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return job{}, err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			server, err := net.Dial("tcp", o.Place.Addrs[0])
			if err != nil {
				_ = client.Close()
				continue
			}
			go holdUp(client, server, o.Delay)
			go holdUp(server, client, o.Delay)
		}
	}()
	return job{
		addr:   listener.Addr().String(),
		answer: func(string) (any, error) { return nil, errors.New("a proxy answers nothing") },
		end:    listener.Close,
	}, nil
}

// piece is what came at once, and when it goes on.
type piece struct {
	due  time.Time
	data []byte
}

// holdUp passes on what comes, each piece after the same time, until one side ends; then it closes
// both.
func holdUp(from, to net.Conn, delay time.Duration) {
	pieces := make(chan piece, proxyInFlight)
	go func() {
		defer close(pieces)
		buffer := make([]byte, proxyChunk)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				pieces <- piece{time.Now().Add(delay), bytes.Clone(buffer[:n])}
			}
			if err != nil {
				return
			}
		}
	}()
	_ = passOn(to, pieces) // an error ends the connection as its end does
	_ = from.Close()       // then the goroutine above ends
	_ = to.Close()
	for range pieces {
		continue
	}
}

func passOn(to io.Writer, pieces <-chan piece) error {
	alarm, err := newAlarm()
	if err != nil {
		return err
	}
	defer alarm.close()
	for p := range pieces {
		if err := alarm.wait(p.due); err != nil {
			return err
		}
		if _, err := to.Write(p.data); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"
)

// What the service answers.
const (
	answerTaken = iota
	answerTooMany
	answerDone
)

// service takes batches of rows: 4 bytes that say how many, answered by 1. It holds its own limit, in
// every window, and tells of each batch that is too much. It is done when it has all rows.
type service struct {
	listener net.Listener

	mu         sync.Mutex
	wanted     int64
	taken      int64
	violations int64
	log        []batch // of the last window
	inWindow   int64
	conns      []net.Conn
}

type batch struct {
	at   time.Time
	rows int64
}

func listen(rows int64) (*service, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &service{listener: listener, wanted: rows}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			go s.serve(conn)
		}
	}()
	return s, nil
}

func (s *service) addr() string { return s.listener.Addr().String() }

func (s *service) close() {
	_ = s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
}

func (s *service) serve(conn net.Conn) {
	var size [4]byte
	for {
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		answer := s.take(time.Now(), int64(binary.BigEndian.Uint32(size[:])))
		if _, err := conn.Write([]byte{answer}); err != nil {
			return
		}
	}
}

func (s *service) take(now time.Time, rows int64) (answer byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.log) > 0 && now.Sub(s.log[0].at) >= window {
		s.inWindow -= s.log[0].rows
		s.log = s.log[1:]
	}
	switch {
	case s.taken >= s.wanted:
		return answerDone
	case s.inWindow+rows > maxRows:
		s.violations++
		return answerTooMany
	}
	s.log = append(s.log, batch{now, rows})
	s.inWindow += rows
	s.taken += rows
	return answerTaken
}

func (s *service) counts() (taken, violations int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken, s.violations
}

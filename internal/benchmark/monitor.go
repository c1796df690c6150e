package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

const monitorTimeout = 30 * time.Second

// sentShare is, for each command by its lower-case name, which share of its runs clients sent
// themselves; the rest were calls of scripts. INFO commandstats counts both alike.
type sentShare map[string]float64

// of splits what ran by what clients sent. A command so rare that it was not seen was sent,
// unless scripts were, of which it is then more likely a part.
func (s sentShare) of(commands map[string]float64) (sent, ran float64) {
	unseen := 1.0
	for name := range s {
		if strings.HasPrefix(name, "eval") {
			unseen = 0
		}
	}
	for name, n := range commands {
		ran += n
		share, seen := s[name]
		if !seen {
			share = unseen
		}
		sent += share * n
	}
	return sent, ran
}

// watch has MONITOR look at what the server does during a call of work. Of a Cluster it looks at
// one node, which stands for the others.
func (s *server) watch(ctx context.Context, work func() error) (sentShare, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.direct[0])
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(monitorTimeout)); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, 64<<20) // a batch is one line
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		return nil, err
	}
	if !lines.Scan() || lines.Text() != "+OK" {
		return nil, fmt.Errorf("MONITOR: %q: %w", lines.Text(), lines.Err())
	}

	type result struct {
		share sentShare
		err   error
	}
	marker := rand.Text()
	seen := make(chan result, 1)
	go func() {
		share, err := shareOf(lines, marker)
		seen <- result{share, err}
	}()
	if err := work(); err != nil {
		return nil, err
	}
	if err := s.do(ctx, "ECHO", marker).Error(); err != nil {
		return nil, err
	}
	r := <-seen
	return r.share, r.err
}

// shareOf reads lines of MONITOR, such as
//
//	+1763940000.123456 [0 127.0.0.1:5000] "EVALSHA" "..." "1" "k"
//	+1763940000.123460 [0 lua] "INCRBY" "k" "1"
//
// up to the one with the marker.
func shareOf(lines *bufio.Scanner, marker string) (sentShare, error) {
	sent, ran := map[string]float64{}, map[string]float64{}
	for lines.Scan() {
		source, words, _ := strings.Cut(lines.Text(), `] "`)
		name, rest, _ := strings.Cut(words, `"`)
		name = strings.ToLower(name)
		if name == "echo" && strings.Contains(rest, marker) {
			share := sentShare{}
			for name, n := range ran {
				share[name] = sent[name] / n
			}
			return share, nil
		}
		ran[name]++
		if !strings.HasSuffix(source, " lua") {
			sent[name]++
		}
	}
	return nil, errors.Join(errors.New("MONITOR ended early"), lines.Err())
}

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

// server is a redis-server that runs in valgrind, and the only connection to it.
type server struct {
	cmd   *exec.Cmd
	dir   string
	addr  string
	dumps int
	conn  net.Conn
	in    *bufio.Reader
}

const startTimeout = time.Minute

func startServer(ctx context.Context) (*server, error) {
	port, err := subprocess.FreePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "instructions-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	s.cmd = exec.Command("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no",
		"--callgrind-out-file="+filepath.Join(dir, "out"), "redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1",
		"--dir", dir, "--save", "", "--hz", "1", "--activerehashing", "no", "--logfile", filepath.Join(dir, "log"))
	subprocess.Tie(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("valgrind and redis-server are needed: %w", err), os.RemoveAll(dir))
	}
	s.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for !redisserver.Answers(ctx, s.addr) {
		select {
		case <-ctx.Done():
			return nil, errors.Join(errors.New("redis-server does not answer"), s.stop())
		case <-time.After(100 * time.Millisecond):
		}
	}
	if s.conn, err = net.Dial("tcp", s.addr); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.in = bufio.NewReader(s.conn)
	return s, nil
}

func (s *server) stop() error {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	return os.RemoveAll(s.dir)
}

// do sends one command and returns its reply, flat.
func (s *server) do(args ...string) ([]string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := s.conn.Write([]byte(b.String())); err != nil {
		return nil, err
	}
	return s.read(nil)
}

func (s *server) read(values []string) ([]string, error) {
	line, err := s.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	kind, text := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '-':
		return nil, errors.New(text)
	case '$':
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return append(values, ""), err
		}
		if text, err = s.in.ReadString('\n'); err != nil {
			return nil, err
		}
		return append(values, strings.TrimRight(text, "\r\n")), nil
	case '*':
		n, err := strconv.Atoi(text)
		for ; err == nil && n > 0; n-- {
			values, err = s.read(values)
		}
		return values, err
	default:
		return append(values, text), nil
	}
}

// count returns how many instructions the server runs while f does.
func (s *server) count(f func() error) (float64, error) {
	if err := s.control("-z"); err != nil {
		return 0, err
	}
	if err := s.control("-i", "on"); err != nil {
		return 0, err
	}
	err := f()
	if err := errors.Join(err, s.control("-i", "off"), s.control("-d")); err != nil {
		return 0, err
	}
	s.dumps++
	dump, err := os.ReadFile(filepath.Join(s.dir, fmt.Sprintf("out.%d", s.dumps)))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(dump)) {
		if total, ok := strings.CutPrefix(line, "totals: "); ok {
			return strconv.ParseFloat(strings.TrimSpace(total), 64)
		}
	}
	return 0, errors.New("callgrind's dump has no totals")
}

func (s *server) control(args ...string) error {
	out, err := exec.Command("callgrind_control", append(args, strconv.Itoa(s.cmd.Process.Pid))...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("callgrind_control %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

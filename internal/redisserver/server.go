package redisserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

// ErrNotInstalled means that there is no redis-server program on the PATH. Its text
// says how to get one.
var ErrNotInstalled = errors.New("redis-server is not on the PATH; install it (Debian, Ubuntu: sudo apt-get install redis-server; macOS: brew install redis), start Docker, or set REDIS_URL=redis://host:6379")

const (
	// Each is long, as a machine may stall for seconds.
	startTimeout   = time.Minute
	stopTimeout    = 20 * time.Second
	commandTimeout = time.Minute
	settleTimeout  = 2 * time.Minute // for several servers to find each other

	startTries = 5
	poll       = 50 * time.Millisecond
)

// Server is one running redis-server process. Its methods are safe for concurrent use.
type Server struct {
	program

	port  int
	dir   string
	begin []string // of the command line: a file of settings, if there is one
	args  []string

	environ []string // besides this process's

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// FreePort is an argument that stands for one more port that nobody listens on.
const FreePort = "{free port}"

// Start runs a redis-server, or what [Servers] names, on a free port with extra arguments, such as
// "--requirepass", "secret", and waits until it answers. The caller must Stop it.
func Start(ctx context.Context, args ...string) (*Server, error) {
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	return start(ctx, dir, nil, withDefaults(args))
}

func withDefaults(args []string) []string {
	// A replica that got its copy without a disk waits 5 seconds for it, and about one more for
	// what is written next, although it is said to be online.
	return append([]string{"--save", "", "--appendonly", "no", "--repl-diskless-sync", "no"}, args...)
}

func newDir() (string, error) {
	if _, err := findProgram(); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "redis-")
	if err != nil {
		return "", fmt.Errorf("redisserver: %w", err)
	}
	return dir, nil
}

// start finds a port for a server and runs it. It removes the folder if it cannot.
func start(ctx context.Context, dir string, begin, args []string, environ ...string) (*Server, error) {
	program, err := findProgram()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	// Another process may take the free port before redis-server does.
	for try := 1; ; try++ {
		s := &Server{program: program, dir: dir, begin: begin, environ: environ}
		var err, errArgs error
		s.port, err = subprocess.FreePort()
		s.args, errArgs = withFreePorts(args)
		if err = errors.Join(err, errArgs); err == nil {
			err = s.run(ctx)
		}
		if err == nil {
			return s, nil
		}
		if try == startTries || ctx.Err() != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
}

func withFreePorts(args []string) ([]string, error) {
	args = slices.Clone(args)
	for i := range args {
		if args[i] != FreePort {
			continue
		}
		port, err := subprocess.FreePort()
		if err != nil {
			return nil, err
		}
		args[i] = strconv.Itoa(port)
	}
	return args, nil
}

// Addr is the server's "127.0.0.1:port".
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// URL is the server's redis:// URL.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Do runs one command by redis-cli, as the default user, and returns what it prints. A reply
// that is an error is an error.
func (s *Server) Do(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, s.cli, append([]string{"-e", "-p", strconv.Itoa(s.port)}, args...)...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("redisserver: %s: %s: %w: %s", s.Addr(), strings.Join(args, " "), err, text)
	}
	return text, nil
}

// await asks until the reply pleases.
func (s *Server) await(ctx context.Context, pleases func(reply string) bool, command ...string) error {
	for {
		reply, err := s.Do(ctx, command...)
		if err == nil && pleases(reply) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redisserver: %s: %s: %w: %s", s.Addr(), strings.Join(command, " "), errors.Join(ctx.Err(), err), reply)
		case <-time.After(poll):
		}
	}
}

// Restart starts a killed server again, on the same port. It has its data again only if it
// was started with "--appendonly", "yes".
func (s *Server) Restart(ctx context.Context) error { return s.run(ctx) }

// Kill ends the process at once, as a crash would, and keeps its folder for Restart.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.cmd.Process.Kill()
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("redisserver: %w", err)
	}
	<-s.done
	return nil
}

// Stop ends the process and removes its folder.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.cmd.Process.Signal(os.Interrupt) // it may have ended by itself
	select {
	case <-s.done:
	case <-time.After(stopTimeout):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	return os.RemoveAll(s.dir)
}

func (s *Server) run(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	args := slices.Concat(s.begin, []string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1",
		"--dir", s.dir, "--logfile", filepath.Join(s.dir, "log"),
	}, s.args)
	// The program must outlive ctx, which bounds the start only.
	s.cmd = exec.Command(s.server, args...)
	s.cmd.Env = append(os.Environ(), s.environ...)
	var output bytes.Buffer
	s.cmd.Stdout, s.cmd.Stderr = &output, &output
	subprocess.Tie(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("redisserver: %w", err)
	}
	done := make(chan struct{})
	s.done = done
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait() // how it ended shows in its log
		close(done)
	}(s.cmd)
	if err := s.awaitReady(ctx); err != nil {
		_ = s.cmd.Process.Kill()
		<-s.done
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return fmt.Errorf("redisserver: redis-server on port %d: %w: %s%s", s.port, err, strings.TrimSpace(output.String()), tail(log))
	}
	return nil
}

// awaitReady waits until the server answers.
func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if Answers(ctx, s.Addr()) {
			return nil
		}
		select {
		case <-s.done:
			return errors.New("it ended while starting")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Answers tells whether a Redis answers at addr, within a second, if only to say that it
// wants a password.
func Answers(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	reply := make([]byte, 5)
	n, _ := conn.Read(reply)
	return strings.HasPrefix(string(reply[:n]), "+PONG") || strings.HasPrefix(string(reply[:n]), "-NOAU")
}

// tail is the end of a log, for an error message.
func tail(log []byte) string {
	const most = 2000
	if len(log) > most {
		log = log[len(log)-most:]
	}
	return "\n" + strings.TrimSpace(string(log))
}

package redisserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	_ "embed"
)

//go:embed preload/clock.c
var clockSource []byte

// StartWithClock is Start for a server whose clock [Server.SetClock] sets. Its error matches
// [errors.ErrUnsupported] where that cannot be done: it needs Linux and a C compiler. It is not done by
// libfaketime: with jemalloc, which Debian builds Redis with, Redis does not start.
func StartWithClock(ctx context.Context, args ...string) (*Server, error) {
	if _, err := exec.LookPath("cc"); err != nil || runtime.GOOS != "linux" {
		return nil, fmt.Errorf("redisserver: the clock of Redis can only be set on Linux, with a C compiler: sudo apt-get install gcc libc6-dev (Debian, Ubuntu): %w", errors.ErrUnsupported)
	}
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	source, library, offset := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so"), filepath.Join(dir, "clock.offset")
	err = os.WriteFile(source, clockSource, 0o600)
	if err == nil {
		var out []byte
		if out, err = exec.CommandContext(ctx, "cc", "-shared", "-fPIC", "-O1", "-o", library, source).CombinedOutput(); err != nil {
			err = fmt.Errorf("redisserver: cc: %w: %s", err, out)
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return start(ctx, dir, nil, withDefaults(args), "LD_PRELOAD="+library, "CLOCK_OFFSET_FILE="+offset)
}

// SetClock sets the clock of a server of [StartWithClock] off from the computer's by whole seconds.
func (s *Server) SetClock(seconds int) error {
	file := filepath.Join(s.dir, "clock.offset")
	if err := os.WriteFile(file+".new", []byte(strconv.Itoa(seconds)), 0o600); err != nil {
		return fmt.Errorf("redisserver: %w", err)
	}
	return os.Rename(file+".new", file) // it is read all the time
}

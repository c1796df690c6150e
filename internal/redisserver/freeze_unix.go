//go:build unix

package redisserver

import (
	"fmt"
	"syscall"
)

// Freeze stops the process without ending it, as a machine that hangs does: it keeps its
// connections and answers nothing, until Thaw or Kill. Stop a thawed one only.
func (s *Server) Freeze() error { return s.signal(syscall.SIGSTOP) }

// Thaw lets the process go on.
func (s *Server) Thaw() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("redisserver: %w", err)
	}
	return nil
}

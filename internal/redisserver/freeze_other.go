//go:build !unix

package redisserver

import "errors"

// Freeze is for Unix only.
func (s *Server) Freeze() error { return errors.ErrUnsupported }

// Thaw is for Unix only.
func (s *Server) Thaw() error { return errors.ErrUnsupported }

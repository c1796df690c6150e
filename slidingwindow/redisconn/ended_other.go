//go:build !unix

package redisconn

import (
	"net"
	"syscall"
)

// On other systems a connection that has ended costs the next call on it.
func rawOf(net.Conn) syscall.RawConn { return nil }

func hasEnded(syscall.RawConn) bool { return false }

//go:build unix

package redisconn

import (
	"crypto/tls"
	"net"
	"syscall"
)

// rawOf returns the socket of a connection, nil if it has none.
func rawOf(conn net.Conn) syscall.RawConn {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// hasEnded reports whether the peer has closed the connection.
func hasEnded(raw syscall.RawConn) (ended bool) {
	err := raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT) //nolint:gosec // a descriptor is an int
		ended = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EWOULDBLOCK && err != syscall.EINTR
	})
	return ended || err != nil
}

package subprocess

import (
	"fmt"
	"net"
)

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on. Another process may
// take it before a server does: whoever starts one tries again then.
func FreePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("no free port: %w", err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

package subprocess

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports below those that systems give to outgoing connections and to listeners that
// leave the choice to them: so a server that is restarted finds its port free.
const (
	lowestPort = 20000
	ports      = 10000
	portTries  = 100
)

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on. Another process may
// take it before a server does: whoever starts one tries again then.
func FreePort() (port int, err error) {
	for range portTries {
		port = lowestPort + rand.IntN(ports)
		var listener net.Listener
		if listener, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no free port from %d to %d: %w", lowestPort, lowestPort+ports-1, err)
}

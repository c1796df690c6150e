package config

import (
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/redis/rueidis"
)

// isOutage tells a failure to connect that passes by itself, such as a Redis that is not
// there yet, from one that somebody must mend, such as a wrong password. err is the client's.
func (m *monitor) isOutage(err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	reply, isReply := serverReply(err)
	if isReply || errors.Is(err, rueidis.ErrNoCache) {
		if k, ok := known(reply); !ok || !k.passes {
			return false
		}
	}
	down := 0
	for _, n := range m.nodes {
		if n.down {
			down++
			if !passes(n.err) {
				return false
			}
		}
	}
	return down > 0 || passes(err)
}

func passes(err error) bool {
	var handshake *handshakeError
	var file *fileError
	var errno syscall.Errno
	var dns *net.DNSError
	if reply, isReply := serverReply(err); isReply {
		k, ok := known(reply)
		return ok && k.passes
	}
	switch {
	case errors.As(err, &handshake), errors.As(err, &file):
		return isTimeout(err)
	default:
		return isTimeout(err) || errors.Is(err, io.EOF) || errors.As(err, &errno) || errors.As(err, &dns)
	}
}

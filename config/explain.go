package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/redisconn"
)

var errNotRedis = errors.New("it does not speak the protocol of redis")

// connectError is a failure to connect in our words, over the error that caused it,
// whose own text would say the same in others.
type connectError struct {
	text  string
	cause error
}

func (e *connectError) Error() string { return e.text }
func (e *connectError) Unwrap() error { return e.cause }

// explain makes the error of Connect from what the monitor saw and from the client's
// error. ctx is the caller's.
func (m *monitor) explain(ctx context.Context, err error, bound time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	told := false // the client's own error is among errs
	for _, addr := range m.order {
		if n := m.nodes[addr]; n.down {
			errs = append(errs, m.server.failure(addr, n.err))
			var refused refusal
			told = told || errors.As(n.err, &refused) || errors.Is(n.err, errNotRedis)
		}
	}
	all := strings.Join(m.server.addrs, ", ")
	_, isReply := serverReply(err)
	switch {
	case ctx.Err() != nil:
		cause := contextCause(ctx)
		errs = append(errs, &connectError{"cannot reach redis at " + all + ": the context ended first: " + cause.Error(), cause})
	case told:
	case isReply || errors.Is(err, rueidis.ErrNoCache):
		errs = append(errs, errors.New(m.server.explainReply(all, err)))
	case len(errs) > 0:
	case isTimeout(err):
		errs = append(errs, &connectError{fmt.Sprintf("cannot reach redis at %s: no answer within %v", all, bound), err})
	default:
		errs = append(errs, &connectError{"cannot reach redis at " + all + ": " + m.server.reason(all, err, bound), err})
	}
	return errors.Join(errs...)
}

// contextCause is the error of a context that has ended, and its cause if it has
// another.
func contextCause(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// failure is why one address is down.
func (s *server) failure(addr string, err error) error {
	within := s.timeout()
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "read" { // the connection was made
		within = min(within, s.replyTimeout())
	}
	reason := s.reason(addr, err, within)
	var refused refusal
	switch {
	case !errors.As(err, &refused):
		return &connectError{"cannot reach redis at " + addr + ": " + reason, err}
	case refused.isLogin():
		return errors.New("redis at " + addr + " refused the login: " + reason)
	default:
		return errors.New("redis at " + addr + " refused the connection: " + reason)
	}
}

// explainReply is about a server that let us in and then refused something.
func (s *server) explainReply(addrs string, err error) string {
	reply, _ := serverReply(err)
	switch {
	case rueidis.IsRedisNil(err) && s.masterSet != "", strings.Contains(reply, "No such master with that name"):
		return fmt.Sprintf("the sentinels at %s know no master_set %q", addrs, s.masterSet)
	case strings.Contains(reply, "cluster support disabled"):
		return "redis at " + addrs + " is not a cluster: give one address in REDIS_URL, or master_set for sentinels"
	case errors.Is(err, rueidis.ErrNoCache):
		// The client's own advice is about its option, which users of this package do
		// not have. What the server said comes before it.
		if k, ok := known(err.Error()); ok && k.begins != unknownCommand {
			return "redis at " + addrs + " refused CLIENT TRACKING: " + k.means + ", or set REDIS_CLIENT_CACHE to false"
		}
		return "redis at " + addrs + " does not offer client-side caching: set REDIS_CLIENT_CACHE to false"
	default:
		return "redis at " + addrs + " refused the connection: " + s.words(addrs, reply)
	}
}

// reason is the shortest text that tells the cause of an error of an address. within is how long an
// answer was waited for, 0 if that is not known.
func (s *server) reason(addr string, err error, within time.Duration) string {
	var errno syscall.Errno
	var dns *net.DNSError
	var op *net.OpError
	var file *fileError
	reply, isReply := serverReply(err)
	switch {
	case isReply:
		return s.words(addr, reply)
	case errors.Is(err, redisconn.ErrProtocol):
		return strings.TrimPrefix(redisconn.ErrProtocol.Error(), "redisconn: ")
	case errors.As(err, &file):
		return file.Error()
	case isTimeout(err) && within > 0:
		return fmt.Sprintf("no answer within %v", within) + s.tlsHint(addr, err)
	case isTimeout(err):
		return "no answer in time" + s.tlsHint(addr, err)
	case errors.Is(err, io.EOF):
		return "the connection was closed" + s.tlsHint(addr, err)
	case errors.As(err, &errno):
		return errno.Error() + s.tlsHint(addr, err)
	case errors.As(err, &dns):
		return dns.Err
	case errors.As(err, &op) && op.Err != nil:
		return op.Err.Error() + s.tlsHint(addr, err)
	default:
		return err.Error() + s.authorityHint(err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// handshakeError is that of a TLS handshake.
type handshakeError struct{ cause error }

func (e *handshakeError) Error() string { return e.cause.Error() }
func (e *handshakeError) Unwrap() error { return e.cause }

// unansweredError is that of a connection that was made, and broke before the first answer.
type unansweredError struct{ cause error }

func (e *unansweredError) Error() string { return e.cause.Error() }
func (e *unansweredError) Unwrap() error { return e.cause }

// tlsHint is for a server that took the connection and hung up. One without TLS makes
// nothing of a handshake, or waits for the end of a line. One that does not like the client's
// certificate says so after the handshake, and often resets the connection before
// that is read.
func (s *server) tlsHint(addr string, err error) string {
	var handshake *handshakeError
	var unanswered *unansweredError
	switch {
	case errors.As(err, &handshake):
		return "; does it speak TLS?"
	case !errors.As(err, &unanswered) || s.scheme == schemeUnix:
		return ""
	case !s.speaksTLS(addr) && s.isSentinel(addr):
		return "; does it want TLS (REDIS_SENTINEL_TLS)?"
	case !s.speaksTLS(addr):
		return "; does it want TLS (rediss://)?"
	case s.files.cert == "":
		return "; does it ask for a certificate (REDIS_CERT_FILE, REDIS_KEY_FILE)?"
	default:
		return "; does it trust the certificate of REDIS_CERT_FILE?"
	}
}

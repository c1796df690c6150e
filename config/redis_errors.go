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

// connectError tells a failure to connect in our words, and wraps its cause. Its text does not repeat
// that of the cause.
type connectError struct {
	text  string
	cause error
}

func (e *connectError) Error() string { return e.text }
func (e *connectError) Unwrap() error { return e.cause }

// explain makes the error of Connect from the client's error and what the monitor has seen. ctx is the
// caller's.
func (m *monitor) explain(ctx context.Context, err error, bound time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	told := false // errs already has the client's own error
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

// contextCause is the error of a context that has ended. It also has the cause, if that differs.
func contextCause(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// failure says why one address is down.
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

// explainReply explains the error of a server that accepted the login and then refused something.
func (s *server) explainReply(addrs string, err error) string {
	reply, _ := serverReply(err)
	switch {
	case rueidis.IsRedisNil(err) && s.masterSet != "", strings.Contains(reply, "No such master with that name"):
		return fmt.Sprintf("the sentinels at %s know no master_set %q", addrs, s.masterSet)
	case strings.Contains(reply, "cluster support disabled"):
		return "redis at " + addrs + " is not a cluster: give one address in REDIS_URL, or master_set for sentinels"
	case errors.Is(err, rueidis.ErrNoCache):
		// The client's own advice names an option of the client, which users of this package
		// do not set. The reply of the server is more important.
		if k, ok := known(err.Error()); ok && k.begins != unknownCommand {
			return "redis at " + addrs + " refused CLIENT TRACKING: " + k.means + ", or set REDIS_CLIENT_CACHE to false"
		}
		return "redis at " + addrs + " does not offer client-side caching: set REDIS_CLIENT_CACHE to false"
	default:
		return "redis at " + addrs + " refused the connection: " + s.words(addrs, reply)
	}
}

// reason is the shortest text that tells the cause of an error of an address. within is the time that
// was waited for an answer, 0 if it is not known.
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

// handshakeError is the error of a TLS handshake.
type handshakeError struct{ cause error }

func (e *handshakeError) Error() string { return e.cause.Error() }
func (e *handshakeError) Unwrap() error { return e.cause }

// unansweredError is the error of a connection that broke before the first answer.
type unansweredError struct{ cause error }

func (e *unansweredError) Error() string { return e.cause.Error() }
func (e *unansweredError) Unwrap() error { return e.cause }

// tlsHint asks about TLS when a server accepted the connection and closed it. A server without TLS does
// not understand a handshake, or waits for the end of a line. A server that refuses the client's
// certificate says so after the handshake, but often resets the connection before the client
// reads it.
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

// refusal is the error with which a server answered the login.
type refusal string

func (r refusal) Error() string { return string(r) }

// knownReply is an error of a server for which we have words of our own.
type knownReply struct {
	begins string // without "ERR ", which the client removes
	means  string
	login  bool // the login was refused, and not something else
	passes bool // it is an outage, which passes by itself
}

const unknownCommand = "unknown command"

var knownReplies = []knownReply{
	{"WRONGPASS", "WRONGPASS: the user or the password of REDIS_URL is wrong, or the user is disabled", true, false},
	{"NOAUTH", "NOAUTH: it asks for a login; give one in REDIS_URL", true, false},
	{"NOPERM", "NOPERM: the user lacks a permission", true, false},
	{"AUTH <password> called without any password", "it has no password, and REDIS_URL has one", true, false},
	{"Client sent AUTH, but no password is set", "it has no password, and REDIS_URL has one", true, false},
	{"invalid password", "the password of REDIS_URL is wrong", true, false},
	{"LOADING", "LOADING: it is loading its data", false, true},
	{"MASTERDOWN", "MASTERDOWN: it is a replica that has lost its master", false, true},
	{"CLUSTERDOWN", "CLUSTERDOWN: the cluster does not serve", false, true},
	{"READONLY", "READONLY: it is a replica", false, true},
	{"BUSY", "BUSY: a script keeps it busy", false, true},
	{"DENIED", "DENIED: it is in protected mode, which lets its own computer in only", false, false},
	{"max number of clients", "it has as many clients as it may have", false, true},
	{"DB index is out of range", "DB index is out of range", false, false},
	{"SELECT is not allowed in cluster mode", "SELECT is not allowed in cluster mode", false, false},
	{unknownCommand, "it does not know a command that is needed", false, false},
}

// known finds our words for an error of a server.
func known(reply string) (knownReply, bool) {
	reply = strings.TrimPrefix(reply, "ERR ")
	for _, k := range knownReplies {
		if strings.HasPrefix(reply, k.begins) {
			return k, true
		}
	}
	return knownReply{}, false
}

// isLogin reports whether the server refused the login, and not something else because, for one, it is
// loading its data.
func (r refusal) isLogin() bool {
	k, _ := known(string(r))
	return k.login
}

// serverReply is the error's text if it comes from a server.
func serverReply(err error) (reply string, ok bool) {
	var refused refusal
	var answer *rueidis.RedisError
	switch {
	case errors.As(err, &refused):
		return string(refused), true
	case errors.As(err, &answer):
		return answer.Error(), true
	default:
		return "", false
	}
}

// words tell what the server at an address answered. A server that does not know a command may quote
// it in part or in another spelling, where a search for the login would not find it. So words
// repeats a reply only if no login was sent, and otherwise uses words of our own.
func (s *server) words(addr, reply string) string {
	if k, ok := known(reply); ok {
		if s.isSentinel(addr) {
			return strings.ReplaceAll(k.means, variableOf(keyURL), variableOf(keySentinelPassword))
		}
		if s.loginApart {
			return strings.ReplaceAll(k.means, variableOf(keyURL), variableOf(keyPassword))
		}
		return k.means
	}
	if s.username != "" || s.password != "" || s.sentinelPassword != "" {
		return "its error is not shown, as it may quote the login"
	}
	return reply
}

// isOutage reports whether a failure to connect passes by itself, as when Redis has not started yet.
// Otherwise somebody must mend it, such as a wrong password. err is the client's.
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

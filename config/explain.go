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
)

// refusal is the error that a server answered the login with.
type refusal string

func (r refusal) Error() string { return string(r) }

// isLogin tells a refused login from any other refusal, such as that of a server that
// is still loading its data.
func (r refusal) isLogin() bool {
	for _, prefix := range []string{"NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH", "ERR invalid password"} {
		if strings.HasPrefix(string(r), prefix) {
			return true
		}
	}
	return false
}

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
	_, isAnswer := rueidis.IsRedisErr(err)
	switch {
	case told:
	case ctx.Err() != nil:
		errs = append(errs, &connectError{"cannot reach redis at " + all + ": the context ended first: " + ctx.Err().Error(), context.Cause(ctx)})
	case isAnswer || errors.Is(err, rueidis.ErrNoCache):
		errs = append(errs, &connectError{m.server.explainAnswer(all, err), m.server.harmless(err)})
	case len(errs) > 0:
	case isTimeout(err):
		errs = append(errs, &connectError{fmt.Sprintf("cannot reach redis at %s: no answer within %v", all, bound), err})
	default:
		errs = append(errs, &connectError{"cannot reach redis at " + all + ": " + m.server.reason(err, bound), m.server.harmless(err)})
	}
	return errors.Join(errs...)
}

// failure is why one address is down.
func (s *server) failure(addr string, err error) error {
	reason := s.reason(err, s.timeout())
	var refused refusal
	switch {
	case !errors.As(err, &refused):
		return &connectError{"cannot reach redis at " + addr + ": " + reason, s.harmless(err)}
	case refused.isLogin():
		return &connectError{"redis at " + addr + " refused the login: " + reason, nil}
	default:
		return &connectError{"redis at " + addr + " refused the connection: " + reason, nil}
	}
}

// explainAnswer is about a server that let us in and then refused something.
func (s *server) explainAnswer(addrs string, err error) string {
	text := s.scrub(err.Error())
	switch {
	case rueidis.IsRedisNil(err) && s.masterSet != "", strings.Contains(text, "No such master with that name"):
		return fmt.Sprintf("the sentinels at %s know no master_set %q", addrs, s.masterSet)
	case strings.Contains(text, "cluster support disabled"):
		return "redis at " + addrs + " is not a cluster: give one address in REDIS_URL, or master_set for sentinels"
	case errors.Is(err, rueidis.ErrNoCache):
		// The client's own advice is about its option, which users of this package do
		// not have.
		text, _, _ = strings.Cut(text, "\n")
		return "redis at " + addrs + " does not offer client-side caching (" + text + "): add client_cache=0 to REDIS_URL"
	default:
		return "redis at " + addrs + " refused the connection: " + text
	}
}

// reason is the shortest text that tells the cause of an error. within is how long an
// answer was waited for, 0 if that is not known.
func (s *server) reason(err error, within time.Duration) string {
	var errno syscall.Errno
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case isTimeout(err) && within > 0:
		return fmt.Sprintf("no answer within %v", within)
	case isTimeout(err):
		return "no answer in time"
	case errors.Is(err, io.EOF):
		return "the connection was closed"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &dns):
		return dns.Err
	case errors.As(err, &op) && op.Err != nil:
		return s.scrub(op.Err.Error())
	default:
		return s.scrub(err.Error())
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// scrub takes secrets out of a text that the server had a part in: one that does not
// know the login command quotes it, cut off anywhere.
func (s *server) scrub(text string) string {
	text, _, _ = strings.Cut(text, ", with args beginning with")
	for _, secret := range []string{s.password, s.username} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, mask)
		}
	}
	return text
}

// harmless is err if it may be wrapped, and nil if its text holds a secret.
func (s *server) harmless(err error) error {
	if s.scrub(err.Error()) != err.Error() {
		return nil
	}
	return err
}

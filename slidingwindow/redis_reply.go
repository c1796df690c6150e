package slidingwindow

import (
	"errors"
	"strings"

	"github.com/redis/rueidis"
)

// ReplyError is what Redis answered in place of a decision. It is in the chain of the error
// ([ErrStoreUnavailable] or [ErrForeignData]); it matches [ErrCallRejected] if it concerns this call alone.
type ReplyError struct {
	// Code is the first word of the reply if it is one in capitals, such as "READONLY", "OOM"
	// or "NOPERM", else "ERR". It is for metrics.
	Code string

	// Text is the reply, cut before anything that it repeats of the call's keys.
	Text string
}

// Error implements error.
func (e *ReplyError) Error() string { return e.Text }

// Is reports whether target is [ErrCallRejected] and the reply concerns this call alone.
func (e *ReplyError) Is(target error) bool { return target == ErrCallRejected && e.rejects() }

// rejections are how replies begin that concern one call. Redis takes "ERR " as a code of its own,
// which the client cuts off.
var rejections = []string{
	"NOPERM", "TRYAGAIN", "MOVED", "ASK", "CROSSSLOT",
	"unknown command", "unknown subcommand", "wrong number of arguments",
	// What Redis tells a script, which gives it on: before 7.2, and since.
	"Unknown Redis command called from script",
	"The user executing the script can't",
	"ACL failure in script",
}

func (e *ReplyError) rejects() bool {
	for _, begins := range rejections {
		if strings.HasPrefix(e.Text, begins) {
			return true
		}
	}
	return false
}

// newReplyError is the reply that err comes from, nil if it comes from none.
func newReplyError(err error) *ReplyError {
	var reply *rueidis.RedisError
	var call callError
	text := ""
	switch {
	case errors.As(err, &call):
		text = string(call)
	case errors.As(err, &reply) && !reply.IsNil():
		text = reply.Error()
	default:
		return nil
	}
	text = strings.TrimPrefix(text, "ERR ")
	code, _, _ := strings.Cut(text, " ")
	if code == "" || strings.ToUpper(code) != code {
		code = "ERR"
	}
	return &ReplyError{Code: code, Text: withoutKeys(text)}
}

// withoutKeys cuts what a reply repeats of its command. A caller's key is nowhere in a command
// but in the name of a log, <prefix>:{<key>}:<limit name>, whose prefix has no space.
func withoutKeys(text string) string {
	text, _, echoes := strings.Cut(text, ", with args")
	before, _, names := strings.Cut(text, ":{")
	if names {
		text = strings.TrimRight(before[:strings.LastIndexByte(before, ' ')+1], " ")
	}
	if echoes || names {
		text = strings.TrimLeft(text+" ...", " ")
	}
	return text
}

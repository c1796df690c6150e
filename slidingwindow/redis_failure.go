package slidingwindow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// ReplyError is the error that Redis answered instead of a decision. It is in the chain of an error
// that matches [ErrStoreUnavailable] or [ErrForeignData]. It matches [ErrCallRejected] if it
// concerns this call alone.
type ReplyError struct {
	// Code is the first word of the reply if that is in capitals, such as "READONLY", "OOM" or
	// "NOPERM". Otherwise it is "ERR". It is for metrics.
	Code string

	// Text is the reply, cut off where it repeats a key of the call.
	Text string
}

// Error implements error.
func (e *ReplyError) Error() string { return e.Text }

// Is reports whether target is [ErrCallRejected] and the reply concerns this call alone.
func (e *ReplyError) Is(target error) bool { return target == ErrCallRejected && e.rejects() }

// rejections are the beginnings of replies that concern one call alone, without "ERR ", which the
// client cuts off.
var rejections = []string{
	"NOPERM", "TRYAGAIN", "MOVED", "ASK", "CROSSSLOT",
	"unknown command", "unknown subcommand", "wrong number of arguments",
	// Errors that a script gets from Redis and passes on: before 7.2, and since.
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

// newReplyError returns the reply that err comes from, or nil if it comes from none.
func newReplyError(err error) *ReplyError {
	var reply *rueidis.RedisError
	if !errors.As(err, &reply) || reply.IsNil() {
		return nil
	}
	text := strings.TrimPrefix(reply.Error(), "ERR ")
	code, _, _ := strings.Cut(text, " ")
	if code == "" || strings.ToUpper(code) != code {
		code = "ERR"
	}
	return &ReplyError{Code: code, Text: withoutKeys(text)}
}

// withoutKeys cuts off what a reply repeats of its command. A command has a caller's key only in
// the name of a log, <prefix>:{<key>}:<limit name>, and a prefix has no space.
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

// failure names the error of a command that the caller's context and the store's timeout bounded.
func failure(ctx context.Context, timeout time.Duration, err error) error {
	switch {
	case err == nil:
		return nil
	case hasEnded(ctx): // the first thing to tell the caller
		return ContextEnded(ctx)
	default:
		return commandFailure(timeout, err)
	}
}

// commandFailure names the error of a command that did not fail by a caller's context.
func commandFailure(timeout time.Duration, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: no answer from redis within %v: %w", ErrStoreUnavailable, timeout, err)
	}
	return redisFailure(err)
}

// redisFailure names the error of a command.
func redisFailure(err error) error {
	if errors.Is(err, ErrStoreUnavailable) {
		return err
	}
	if reply := newReplyError(err); reply != nil {
		err = reply
	}
	if isForeignData(err) {
		return fmt.Errorf("%w: %w", ErrForeignData, err)
	}
	return fmt.Errorf("%w: redis: %w", ErrStoreUnavailable, err)
}

// isForeignData reports whether Redis or the script found something under the key that is not a
// log. It compares prefixes because the errors end with the name of the script.
func isForeignData(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "WRONGTYPE") || strings.HasPrefix(text, "FOREIGN")
}

// isCrossSlot reports whether a command was not run because its keys are in several slots. That
// happens where a client or a proxy takes a node of a Cluster for a single server.
func isCrossSlot(err error) bool { return isReply(err, "CROSSSLOT") }

// isTryAgain reports whether a command was not run because its slot is being moved, and no node
// has all of its keys. A key that does not exist belongs to the new node, and there only a command
// for this key alone may create it.
func isTryAgain(err error) bool { return isReply(err, "TRYAGAIN") }

func isReply(err error, begins string) bool {
	reply, is := replyOf(err)
	return is && strings.HasPrefix(reply, begins)
}

// replyOf returns what a server answered, without "ERR ".
func replyOf(err error) (reply string, ok bool) {
	var named *ReplyError
	if !errors.As(err, &named) {
		named = newReplyError(err)
	}
	if named == nil {
		return "", false
	}
	return named.Text, true
}

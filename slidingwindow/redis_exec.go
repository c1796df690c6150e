package slidingwindow

import (
	"context"
	"crypto/fips140"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/redisconn"
)

// script is a Lua script that Redis knows by its SHA-1.
type script struct {
	text string
	verb string // EVALSHA or EVALSHA_RO
	full string // EVAL or EVAL_RO: for a server that does not know the script yet

	// Whether rueidis may send it again while the server cannot be reached. Not for a script that
	// takes units: a call without an answer may have been counted, and would be counted twice.
	retry bool

	// nil in FIPS 140 mode until Redis has computed it: to compute it here can panic in that mode.
	sha atomic.Pointer[string]
}

func newScript(text, verb string, retry bool) *script {
	s := &script{text: text, verb: verb, full: strings.Replace(verb, "SHA", "", 1), retry: retry}
	if !fips140.Enabled() {
		sum := sha1.Sum([]byte(text))
		sha := hex.EncodeToString(sum[:])
		s.sha.Store(&sha)
	}
	return s
}

// batch is the content of one command: calls to decide, or another question, such as a refund.
type batch struct {
	calls []*call
	err   error // of the command; the calls then have no decision

	question
	reply rueidis.RedisResult

	entries []joined
	one     [1]joined // room for the entry of a lone call
}

// exec sends the commands of batches, all in one round trip to a server.
//
// If pooled, the commands are marked as blocking, so that they get a connection from rueidis's pool
// for themselves. rueidis then writes and reads in the caller's goroutine, and nobody is harmed if
// that connection is given up. On the connection that all share, two more goroutines take part.
func (s *script) exec(ctx context.Context, client rueidis.Client, pooled bool, batches []*batch) {
	sha := s.sha.Load()
	if sha == nil {
		loaded, err := client.Do(ctx, client.B().ScriptLoad().Script(s.text).Build()).ToString()
		if err != nil {
			s.send(ctx, client, pooled, s.full, s.text, batches)
			return
		}
		sha = &loaded
		s.sha.Store(sha)
	}
	s.send(ctx, client, pooled, s.verb, *sha, batches)
	unknown := unknownTo(batches)
	if len(unknown) == 0 {
		return
	}
	s.send(ctx, client, pooled, s.full, s.text, unknown[:1]) // teaches its server the script
	if unknown = unknown[1:]; len(unknown) > 0 {
		s.send(ctx, client, pooled, s.verb, *sha, unknown)
	}
	if unknown = unknownTo(unknown); len(unknown) > 0 { // a proxy has more servers than that one
		s.send(ctx, client, pooled, s.full, s.text, unknown)
	}
}

// unknownTo returns the batches whose server does not know the script.
func unknownTo(batches []*batch) (unknown []*batch) {
	for _, b := range batches {
		if reply, ok := rueidis.IsRedisErr(b.reply.Error()); ok && reply.IsNoScript() {
			unknown = append(unknown, b)
		}
	}
	return unknown
}

func (s *script) send(ctx context.Context, client rueidis.Client, pooled bool, verb, body string, batches []*batch) {
	if len(batches) == 1 {
		b := batches[0]
		b.reply = again(func() rueidis.RedisResult { return client.Do(ctx, s.command(client, pooled, verb, body, b)) })
		return
	}
	var replies []rueidis.RedisResult
	again(func() rueidis.RedisResult {
		commands := make([]rueidis.Completed, len(batches))
		for i, b := range batches {
			commands[i] = s.command(client, pooled, verb, body, b)
		}
		replies = client.DoMulti(ctx, commands...)
		return replies[0]
	})
	for i, b := range batches {
		b.reply = replies[i]
	}
}

func (s *script) command(client rueidis.Client, pooled bool, verb, body string, b *batch) rueidis.Completed {
	return build(client.B().Arbitrary(verb, body, strconv.Itoa(len(b.keys))).Keys(b.keys...).Args(b.args...), pooled, s.retry)
}

// unlink removes keys.
func unlink(ctx context.Context, client rueidis.Client, pooled, retry bool, keys ...string) error {
	return again(func() rueidis.RedisResult {
		return client.Do(ctx, build(client.B().Arbitrary("UNLINK").Keys(keys...), pooled, retry))
	}).Error()
}

// unbuilt is the type of rueidis's builder for any command, which has no name there.
type unbuilt interface {
	Build() rueidis.Completed
	Blocking() rueidis.Completed
}

func build[C unbuilt](command C, pooled, retry bool) rueidis.Completed {
	var c rueidis.Completed
	if pooled {
		c = command.Blocking()
	} else {
		c = command.Build()
	}
	if retry {
		return c.ToRetryable()
	}
	return c
}

// again repeats send while nothing was sent because the connection had ended. Every connection in
// the pool may have ended.
func again(send func() rueidis.RedisResult) rueidis.RedisResult {
	for range mostBatches {
		if result := send(); !errors.Is(result.NonRedisError(), redisconn.ErrNotSent) {
			return result
		}
	}
	return send()
}

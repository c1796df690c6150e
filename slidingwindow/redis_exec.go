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

	// Whether rueidis may send it again while the server cannot be reached. Not what takes
	// units: a call that got no answer may have been counted, and would be counted twice.
	retry bool

	// "" in FIPS 140 mode until Redis has computed it: computing one panics there.
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

// question is one command, and the reply to it.
type question struct {
	keys  []string // all in one slot of a Cluster
	args  []string
	reply rueidis.RedisResult
}

// exec asks the questions of batches in the caller's goroutine.
//
// The commands are marked as blocking ones. That gives them a connection of rueidis's pool,
// which nobody else uses meanwhile, so that they are written and read here and now: through
// the connection that all share they would pass two goroutines more. And a connection that is
// given up, because its deadline has passed, is nobody else's.
func (s *script) exec(ctx context.Context, client rueidis.Client, batches []batch) {
	sha := s.sha.Load()
	if sha == nil {
		loaded, err := client.Do(ctx, client.B().ScriptLoad().Script(s.text).Build()).ToString()
		if err != nil {
			s.send(ctx, client, s.full, s.text, batches)
			return
		}
		sha = &loaded
		s.sha.Store(sha)
	}
	s.send(ctx, client, s.verb, *sha, batches)
	for i := range batches {
		if reply, ok := rueidis.IsRedisErr(batches[i].reply.Error()); ok && reply.IsNoScript() {
			s.send(ctx, client, s.full, s.text, batches[i:i+1])
		}
	}
}

func (s *script) send(ctx context.Context, client rueidis.Client, verb, body string, batches []batch) {
	if len(batches) == 1 {
		q := &batches[0].question
		q.reply = again(func() rueidis.RedisResult { return client.Do(ctx, s.command(client, verb, body, q)) })
		return
	}
	var replies []rueidis.RedisResult
	again(func() rueidis.RedisResult {
		commands := make([]rueidis.Completed, len(batches))
		for i := range batches {
			commands[i] = s.command(client, verb, body, &batches[i].question)
		}
		replies = client.DoMulti(ctx, commands...)
		return replies[0]
	})
	for i := range batches {
		batches[i].reply = replies[i]
	}
}

// again sends what was not sent because the connection had ended. Each connection that is kept
// may have.
func again(send func() rueidis.RedisResult) rueidis.RedisResult {
	for range mostBatches {
		if result := send(); !errors.Is(result.NonRedisError(), redisconn.ErrNotSent) {
			return result
		}
	}
	return send()
}

func (s *script) command(client rueidis.Client, verb, body string, q *question) rueidis.Completed {
	c := client.B().Arbitrary(verb, body, strconv.Itoa(len(q.keys))).Keys(q.keys...).Args(q.args...).Blocking()
	if s.retry {
		return c.ToRetryable()
	}
	return c
}

// unlink removes keys in the caller's goroutine, as exec asks.
func unlink(ctx context.Context, client rueidis.Client, keys ...string) error {
	return again(func() rueidis.RedisResult {
		return client.Do(ctx, client.B().Arbitrary("UNLINK").Keys(keys...).Blocking().ToRetryable())
	}).Error()
}

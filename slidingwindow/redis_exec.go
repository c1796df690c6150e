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

// question is what one command asks: a script's keys, all in one slot of a Cluster, and its
// arguments.
type question struct{ keys, args []string }

// exec asks in the caller's goroutine, and returns the reply to each question.
//
// The commands are marked as blocking ones. That gives them a connection of rueidis's pool,
// which nobody else uses meanwhile, so that they are written and read here and now: through
// the connection that all share they would pass two goroutines more. And a connection that is
// given up, because its deadline has passed, is nobody else's. They are not retried: a call
// that got no answer may have been counted, and would be counted twice.
func (s *script) exec(ctx context.Context, client rueidis.Client, questions []question) []rueidis.RedisResult {
	sha := s.sha.Load()
	if sha == nil {
		loaded, err := client.Do(ctx, client.B().ScriptLoad().Script(s.text).Build()).ToString()
		if err != nil {
			return s.send(ctx, client, s.full, s.text, questions)
		}
		sha = &loaded
		s.sha.Store(sha)
	}
	results := s.send(ctx, client, s.verb, *sha, questions)
	for i := range results {
		if reply, ok := rueidis.IsRedisErr(results[i].Error()); ok && reply.IsNoScript() {
			results[i] = s.send(ctx, client, s.full, s.text, questions[i:i+1])[0]
		}
	}
	return results
}

func (s *script) send(ctx context.Context, client rueidis.Client, verb, body string, questions []question) []rueidis.RedisResult {
	if len(questions) == 1 {
		return []rueidis.RedisResult{again(func() rueidis.RedisResult {
			return client.Do(ctx, s.command(client, verb, body, &questions[0]))
		})}
	}
	var results []rueidis.RedisResult
	again(func() rueidis.RedisResult {
		commands := make([]rueidis.Completed, len(questions))
		for i := range questions {
			commands[i] = s.command(client, verb, body, &questions[i])
		}
		results = client.DoMulti(ctx, commands...)
		return results[0]
	})
	return results
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

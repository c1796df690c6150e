package slidingwindow

import (
	"context"
	"crypto/fips140"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

const (
	defaultPrefix  = "rl"
	defaultTimeout = 250 * time.Millisecond
	maxPrefixBytes = 64
)

// RedisConfig has the settings of a [RedisStore]. The zero value is valid.
type RedisConfig struct {
	// Prefix begins the name of every key in Redis, which is
	// <prefix>:{<key>}:<limit name>. Stores with the same prefix share their logs.
	// 1 to 64 bytes of printable ASCII other than the space and braces. Defaults to
	// "rl".
	Prefix string

	// Timeout bounds each call to Redis, besides the deadline of the caller's
	// context. A call that takes longer gives ErrStoreUnavailable. 0 stands for the
	// default, a negative value is an error. Defaults to 250ms.
	Timeout time.Duration
}

// RedisStore is a [Store] that keeps the logs in Redis, so that all processes that
// use the same Redis, prefix and limit names share one quota. It decides on the
// clock of the Redis server. It needs Redis 7.0 or Valkey 7.2 or later, as a single
// server, behind Sentinel or as a Cluster.
//
// A log is one sorted set, with one entry for each allowed call of the last window:
// about 21 bytes each up to 128 entries (the server's zset-max-listpack-entries), 40 if
// the call took several units, and about 130 bytes each beyond. It expires by itself, at
// most two windows after the last allowed call. What a call costs Redis hardly grows with
// the log, unless there are calls of several units in it: to count, a call then reads the
// entries inside or outside of the window, whichever are fewer (an allowed call removes
// those outside), and a refusal those that must leave before the cost fits.
type RedisStore struct {
	client  rueidis.Client
	prefix  string
	timeout time.Duration
	take    *rueidis.Lua
	peek    *rueidis.Lua
	refund  *rueidis.Lua

	watchedNames
}

var _ Store = (*RedisStore)(nil)

var (
	//go:embed decide.lua
	decideScript string

	//go:embed refund.lua
	refundScript string
)

// NewRedisStore returns a Store over a client, which it does not own: close the
// client yourself, after the last call. It makes no call to Redis. Its errors match
// [ErrInvalidConfig].
//
// Make the client with ClientOption.AlwaysPipelining, as package config does. Without it
// rueidis closes the connection of a call that was given up, and when Redis hangs takes
// up to a second for that, which no timeout here shortens.
func NewRedisStore(client rueidis.Client, config RedisConfig) (*RedisStore, error) {
	return newRedisStore(client, config, decideScript, refundScript)
}

func newRedisStore(client rueidis.Client, config RedisConfig, decide, refund string) (*RedisStore, error) {
	var errs []error
	if client == nil {
		errs = append(errs, fmt.Errorf("%w: client is nil; make one with rueidis.NewClient or the config package", ErrInvalidConfig))
	}
	if config.Prefix == "" {
		config.Prefix = defaultPrefix
	}
	if len(config.Prefix) > maxPrefixBytes || !isPrintableASCII(config.Prefix) || strings.ContainsAny(config.Prefix, " {}") {
		errs = append(errs, fmt.Errorf("%w: RedisConfig.Prefix is %s; allowed: 1 to %d printable ASCII characters other than the space, { and }",
			ErrInvalidConfig, quoteShort(config.Prefix), maxPrefixBytes))
	}
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	if config.Timeout < 0 {
		errs = append(errs, fmt.Errorf("%w: RedisConfig.Timeout is %v; allowed: more than 0s (0s stands for the default of %v)",
			ErrInvalidConfig, config.Timeout, defaultTimeout))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	// A script is known by its SHA-1. Computing one panics where only FIPS 140
	// algorithms are allowed; Redis then does it.
	sha1FromRedis := rueidis.WithLoadSHA1(fips140.Enabled())
	return &RedisStore{
		client:  client,
		prefix:  config.Prefix,
		timeout: config.Timeout,
		// Not the retryable kind: a call that timed out may have been counted, and
		// would be counted twice.
		take: rueidis.NewLuaScript(decide, sha1FromRedis),
		peek: rueidis.NewLuaScriptReadOnly(decide, sha1FromRedis),
		// A refund that comes twice gives back once.
		refund: rueidis.NewLuaScriptRetryable(refund, sha1FromRedis),
	}, nil
}

// Take implements [Store] in one command: EVALSHA, or EVALSHA_RO to peek. It is sent
// once more, as EVAL, to a server that does not know the script yet.
func (s *RedisStore) Take(ctx context.Context, req Request) (Decision, error) {
	script, mode := s.take, "take"
	if req.Peek {
		script, mode = s.peek, "peek"
	}
	args := make([]string, 0, 2+3*len(req.Limits))
	args = append(args, mode, strconv.FormatInt(req.Cost, 10))
	for _, limit := range req.Limits {
		args = append(args,
			strconv.FormatInt(limit.Max, 10),
			strconv.FormatInt(limit.Window.Microseconds(), 10),
			strconv.FormatInt(timeToLive(limit.Window).Milliseconds(), 10))
	}
	var reply []int64
	err := s.bounded(ctx, func(ctx context.Context) (err error) {
		reply, err = script.Exec(ctx, s.client, s.keys(req.Key, req.Limits), args).AsIntSlice()
		return err
	})
	if err != nil {
		return Decision{}, err
	}
	return decisionOf(req, reply)
}

// Refund implements [Store] in one command, EVALSHA, or in none if nothing was taken.
func (s *RedisStore) Refund(ctx context.Context, key string, d Decision) error {
	escaped := escapeKey(key)
	var keys, members []string
	for _, status := range d.Statuses() {
		if status.Receipt == 0 {
			continue
		}
		keys = append(keys, redisKey(s.prefix, escaped, status.Limit.Name))
		members = append(members, logMember(status.Receipt, d.Granted))
	}
	if len(keys) == 0 {
		return nil
	}
	return s.bounded(ctx, func(ctx context.Context) error {
		return s.refund.Exec(ctx, s.client, keys, members).Error()
	})
}

// logMember is the member of the entry that decide.lua made for a call.
func logMember(receipt, units int64) string {
	member := fmt.Sprintf("%019d", receipt)
	if units > 1 {
		member += "x" + strconv.FormatInt(units, 10)
	}
	return member
}

// Reset implements [Store] in one command.
func (s *RedisStore) Reset(ctx context.Context, key string, limits []Limit) error {
	return s.bounded(ctx, func(ctx context.Context) error {
		return s.client.Do(ctx, s.client.B().Unlink().Key(s.keys(key, limits)...).Build()).Error()
	})
}

func (s *RedisStore) keys(key string, limits []Limit) []string {
	escaped := escapeKey(key)
	keys := make([]string, len(limits))
	for i, limit := range limits {
		keys[i] = redisKey(s.prefix, escaped, limit.Name)
	}
	return keys
}

// bounded runs one call to Redis under the store's timeout and names its error.
func (s *RedisStore) bounded(ctx context.Context, call func(context.Context) error) error {
	if ctx.Err() != nil {
		return contextEnded(ctx)
	}
	bound, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := call(bound)
	// rueidis gives up a little before the deadline when it knows that it cannot meet it.
	late := errors.Is(err, context.DeadlineExceeded)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, late && endsFirst(ctx, bound):
		return contextEnded(ctx)
	case isForeignData(err):
		return fmt.Errorf("%w: %w", ErrForeignData, err)
	case late:
		return fmt.Errorf("%w: no answer from redis within %v: %w", ErrStoreUnavailable, s.timeout, err)
	default:
		return fmt.Errorf("%w: redis: %w", ErrStoreUnavailable, err)
	}
}

// endsFirst tells whether the caller's deadline, not the store's timeout, bounds the
// call.
func endsFirst(caller, bound context.Context) bool {
	callers, has := caller.Deadline()
	bounds, _ := bound.Deadline()
	return has && !callers.After(bounds)
}

// isForeignData tells whether Redis or the script found no log under the key. The
// errors carry a suffix that names the script, hence the prefixes.
func isForeignData(err error) bool {
	redisErr, ok := rueidis.IsRedisErr(err)
	return ok && (strings.HasPrefix(redisErr.Error(), "WRONGTYPE") || strings.HasPrefix(redisErr.Error(), "FOREIGN"))
}

// decisionOf reads the reply of decide.lua.
func decisionOf(req Request, reply []int64) (Decision, error) {
	if len(reply) != 4*len(req.Limits) {
		return Decision{}, fmt.Errorf("%w: redis answered %d values, not %d", ErrStoreUnavailable, len(reply), 4*len(req.Limits))
	}
	statuses := make([]Status, len(req.Limits))
	allowed := true
	for i, limit := range req.Limits {
		used, retry, reset, receipt := reply[4*i], reply[4*i+1], reply[4*i+2], reply[4*i+3]
		statuses[i] = Status{
			Limit:      limit,
			Remaining:  max(0, limit.Max-used),
			RetryAfter: time.Duration(retry) * time.Microsecond,
			ResetAfter: time.Duration(reset) * time.Microsecond,
			Receipt:    receipt,
		}
		allowed = allowed && retry == 0
	}
	return NewDecision(req.granted(allowed), statuses...), nil
}

// timeToLive is how long Redis keeps a log after an allowed call: two windows, in
// whole milliseconds.
func timeToLive(window time.Duration) time.Duration {
	return (2*window + time.Millisecond - 1).Truncate(time.Millisecond)
}

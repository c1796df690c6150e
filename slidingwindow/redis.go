package slidingwindow

import (
	"context"
	"crypto/fips140"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	defaultPrefix  = "rl"
	defaultTimeout = 250 * time.Millisecond
	maxPrefixBytes = 64

	defaultBatchSize       = 256
	defaultBatchesInFlight = 2
)

// RedisConfig has the settings of a [RedisStore]. The zero value is valid.
type RedisConfig struct {
	// Prefix begins the name of every key in Redis, which is
	// <prefix>:{<key>}:<limit name>. Stores with the same prefix share their logs.
	// 1 to 64 bytes of printable ASCII other than the space and braces. Defaults to
	// "rl".
	Prefix string

	// Timeout bounds each call, besides the caller's context: one that takes longer gives
	// ErrStoreUnavailable. 0 stands for the default, a negative value is an error.
	// Defaults to 250ms.
	Timeout time.Duration

	// BatchSize is how many calls share a command at most: 1 or more. Redis serves
	// nobody else while it decides a batch, for about 5 us a call. 0 stands for the default, a
	// negative value is an error. Defaults to 256.
	BatchSize int

	// BatchesInFlight is how many batches may be under way at a time, in a Cluster for
	// each slot: 1 or more. 0 stands for the default, a negative value is an error. Defaults
	// to 2.
	BatchesInFlight int
}

// RedisStore is a [Store] that keeps the logs in Redis, so that all processes that
// use the same Redis, prefix and limit names share one quota. It decides on the
// clock of the Redis server. It needs Redis 7.0 or Valkey 7.2 or later, as a single
// server, behind Sentinel or as a Cluster.
//
// # Batches
//
// Calls that are made at the same time in one process share a command: while two batches are
// under way the next one gathers, and is decided in the order in which its calls came. No
// call waits for a timer, and a lone one goes at once. In a Cluster a batch is of one slot.
// Each call has its own answer or error. One whose context ends leaves at once; if it was not
// sent yet it takes nothing.
//
// While a slot of a Cluster is moved to another node, calls of one limit go on, and what they
// count moves as well. Several logs of a key can be in two places: such a call is tried
// again for about 30 ms, and then fails with ErrStoreUnavailable (TRYAGAIN) and counts
// nothing. So it is with a key that is new, until its slot has moved.
//
// # Failover
//
// Redis does not wait for its replicas. When a master dies, and one of them takes over, by
// Sentinel or in a Cluster, calls fail with ErrStoreUnavailable until the client has found it:
// mostly for a second or two more than the time after which a server is taken for dead. The new
// master lacks what had not reached it, and that much can be taken once more. With a
// replica that keeps up these are the units of some milliseconds, or none; with one that was cut
// off, all since. The server's settings min-replicas-to-write 1 and min-replicas-max-lag 1 bound
// that time to about two seconds: a master whose replica is late then allows nothing
// (ErrStoreUnavailable, NOREPLICAS). A replica that is asked itself peeks and refuses, but does
// not allow (READONLY).
//
// # Logs
//
// A log is one sorted set, with one entry for each allowed call of the last window and one
// more for the whole: about 20 bytes each up to 127 calls (the server's
// zset-max-listpack-entries less one), 22 if the call took several units, and about 113 bytes
// each beyond. It expires by itself, at most two windows after the last allowed call: its
// time to live is set once a window. What a call costs Redis hardly grows with the log, unless
// there are calls of several units in it: to count, a call then reads the entries that have left
// the window (an allowed call removes them), and a refusal those that must leave before
// the cost fits.
//
// A log of another format, as versions before v0.1.0 wrote, is foreign data, and never read
// as one of this: calls of its key fail with ErrForeignData until it expires or is
// reset. Another Prefix begins anew at once.
//
// # Cached refusals
//
// A refusal writes nothing, so it stands until a hit leaves the window or somebody resets
// or refunds the key. The store remembers up to 100,000 refusals, of
// about 1 kB each, and gives one again to the
// same call of the same key without a command, with [ReasonCached] and the RetryAfter that is
// left. For that it asks once more through the client-side cache of rueidis
// (Client.DoCache): Redis then tells the client of each write to that log. So a Reset or a
// Refund reopens the key at once in its own process, and in another within a millisecond of
// the word of Redis. How long a refusal stands is counted on the process's monotonic clock, from
// before Redis was asked. After 10 seconds Redis is asked again: its clock may have leapt
// forward, or its word been lost. Of several limits, Redis tells of the one that refused; what
// the Decision says of the others may be 10 seconds old. Peek always asks.
//
// A client without that cache (ClientOption.DisableCache, AlwaysRESP2) is noticed after some
// hundred refusals, and Redis is then asked each time; so it is in FIPS 140 mode, for want
// of the script's SHA-1. In ClientOption.ClientTrackingOptions there must be no NOLOOP, and a
// BCAST must cover the Prefix of the store: else a reopened key can stay refused for up to 10
// seconds.
type RedisStore struct {
	client  rueidis.Client
	prefix  string
	timeout time.Duration
	batches groupLimits
	take    *rueidis.Lua
	peek    *rueidis.Lua
	refund  *rueidis.Lua

	groups []atomic.Pointer[group] // by slot in a Cluster, else one
	closed atomic.Bool

	// The server is of a Cluster, although the client does not know: no batches then.
	crossSlot atomic.Bool

	scriptSHA string // of take and peek; "" where only Redis may compute it
	refused   *refusedQuestions
	now       func() time.Time // how long refusals are remembered; nothing is decided on it

	watchedNames
}

var _ Store = (*RedisStore)(nil)

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

const clusterSlots = 16384

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
	batches := groupLimits{batches: config.BatchesInFlight, size: config.BatchSize}
	for _, setting := range []struct {
		name      string
		value     *int
		byDefault int
	}{{"BatchSize", &batches.size, defaultBatchSize}, {"BatchesInFlight", &batches.batches, defaultBatchesInFlight}} {
		if *setting.value < 0 {
			errs = append(errs, fmt.Errorf("%w: RedisConfig.%s is %d; allowed: 1 or more (0 stands for the default of %d)",
				ErrInvalidConfig, setting.name, *setting.value, setting.byDefault))
		}
		if *setting.value == 0 {
			*setting.value = setting.byDefault
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	// A script is known by its SHA-1. Computing one panics where only FIPS 140
	// algorithms are allowed; Redis then does it.
	sha1FromRedis := rueidis.WithLoadSHA1(fips140.Enabled())
	scriptSHA := ""
	if !fips140.Enabled() {
		sum := sha1.Sum([]byte(decide))
		scriptSHA = hex.EncodeToString(sum[:])
	}
	s := &RedisStore{
		client:  client,
		prefix:  config.Prefix,
		timeout: config.Timeout,
		batches: batches,
		// Not the retryable kind: a call that timed out may have been counted, and
		// would be counted twice.
		take: rueidis.NewLuaScript(decide, sha1FromRedis),
		peek: rueidis.NewLuaScriptReadOnly(decide, sha1FromRedis),
		// A refund that comes twice gives back once.
		refund:    rueidis.NewLuaScriptRetryable(refund, sha1FromRedis),
		scriptSHA: scriptSHA,
		refused:   newRefusedQuestions(),
		now:       time.Now,
	}
	slots := 1
	if client.Mode() == rueidis.ClientModeCluster {
		slots = clusterSlots
	}
	s.groups = make([]atomic.Pointer[group], slots)
	return s, nil
}

// Take implements [Store]. A refusal that still stands takes no command. Other calls are
// decided in one command, EVALSHA, together with those that are made at the same time, or in
// an EVALSHA_RO of its own to peek. A command is sent once more, as EVAL, to a server that
// does not know the script yet.
func (s *RedisStore) Take(ctx context.Context, req Request) (Decision, error) {
	switch {
	case s.closed.Load():
		return Decision{}, errClosed
	case ctx.Err() != nil:
		return Decision{}, contextEnded(ctx)
	}
	if req.Peek {
		return s.look(ctx, &call{key: req.Key, limits: req.Limits, cost: req.Cost})
	}
	began := time.Now()
	d, attempt, err := s.stillRefused(ctx, req)
	if err != nil || d.Reason != "" {
		return d, err
	}
	if d, err = s.groupOf(req.Key).do(ctx, newCall(req), s.timeout-time.Since(began), s.crossSlot.Load()); err == nil {
		s.remember(req, d, attempt)
	}
	return d, err
}

// look peeks.
func (s *RedisStore) look(ctx context.Context, c *call) (Decision, error) {
	entries := join(c)
	err := s.bounded(ctx, func(ctx context.Context) error { return s.ask(ctx, s.peek, kindPeek, entries) })
	if err == nil {
		err = c.err
	}
	if err != nil {
		return Decision{}, err
	}
	return c.decision, nil
}

// ask decides the calls of the entries in one command.
func (s *RedisStore) ask(ctx context.Context, script *rueidis.Lua, kind byte, entries []joined) error {
	keys, args := s.question(kind, entries)
	reply, err := script.Exec(ctx, s.client, keys, args).ToArray()
	if err != nil {
		return err
	}
	return answer(kind, entries, reply)
}

// decideTogether is the group's send.
func (s *RedisStore) decideTogether(ctx context.Context, calls []*call) {
	err := s.ask(ctx, s.take, kindTake, join(calls...))
	switch {
	case isCrossSlot(err) && len(calls) > 1:
		s.crossSlot.Store(true)
		s.decideApart(ctx, calls)
	case isTryAgain(err):
		s.decideApart(ctx, calls)
	default:
		s.finish(calls, err)
	}
}

// finish ends calls that one command decided, or failed to.
func (s *RedisStore) finish(calls []*call, err error) {
	if err != nil {
		err = s.commandFailure(err)
	}
	for _, c := range calls {
		if err != nil {
			c.err = err
		}
		if c.err != nil {
			c.decision = Decision{}
		}
		c.finish()
	}
}

// groupOf returns the group that decides calls of the key. In a Cluster a command is for the
// keys of one slot, so each slot that is in use has a group.
func (s *RedisStore) groupOf(key string) *group {
	slot := 0
	if len(s.groups) > 1 {
		command := s.client.B().Zcard().Key(redisKey(s.prefix, escapeKey(key), "")).Build()
		slot = int(command.Slot())
	}
	if g := s.groups[slot].Load(); g != nil {
		return g
	}
	s.groups[slot].CompareAndSwap(nil, newGroup(s.batches, s.timeout, s.decideTogether))
	return s.groups[slot].Load()
}

// Close waits for the calls of Take that are under way and may count. Later ones fail with
// [ErrStoreUnavailable]. It does not close the client.
func (s *RedisStore) Close() {
	s.closed.Store(true)
	for slot := range s.groups {
		// Whoever comes for the first time finds it closed, too.
		s.groups[slot].CompareAndSwap(nil, &group{closed: true})
		s.groups[slot].Load().close()
	}
}

// Refund implements [Store] in one command, EVALSHA, or in none if nothing was taken.
func (s *RedisStore) Refund(ctx context.Context, key string, d Decision) error {
	escaped := escapeKey(key)
	var keys, entries []string
	for _, status := range d.Statuses() {
		if status.Receipt == 0 {
			continue
		}
		keys = append(keys, redisKey(s.prefix, escaped, status.Limit.Name))
		entries = append(entries, strconv.FormatInt(status.Receipt, 10), entryMember(status.Receipt, d.Granted), "0")
	}
	if len(keys) == 0 {
		return nil
	}
	defer s.refused.forget(key) // also after an error: it may have been done
	return s.bounded(ctx, func(ctx context.Context) error {
		return s.refund.Exec(ctx, s.client, keys, entries).Error()
	})
}

// Reset implements [Store] in one command; in a Cluster in several, if the key's slot is
// being moved.
func (s *RedisStore) Reset(ctx context.Context, key string, limits []Limit) error {
	defer s.refused.forget(key) // also after an error: it may have been done
	return s.bounded(ctx, func(ctx context.Context) error {
		keys := s.appendKeys(nil, key, limits)
		err := s.client.Do(ctx, s.client.B().Unlink().Key(keys...).Build()).Error()
		if isTryAgain(err) {
			return s.unlinkApart(ctx, keys)
		}
		return err
	})
}

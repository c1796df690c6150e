package slidingwindow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

const (
	defaultPrefix  = "rl"
	defaultTimeout = 250 * time.Millisecond
	maxPrefixBytes = 64

	defaultBatchSize = 256

	defaultConnectionLifetime = time.Minute
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

	// ConnectionLifetime bounds how long a connection is used, so that calls follow an address
	// that has moved from a server which is still there. It is for connections of package
	// redisconn. 0 stands for the default, a negative value is an error. Defaults to 1m.
	ConnectionLifetime time.Duration

	// BatchesInFlight is how many batches may be under way at a time, in a Cluster for
	// each node: 1 or more. Each has a connection of its own. A negative value is an error.
	// 0 stands for the default. Defaults to 1 where a round trip takes less than 0.1ms, as on
	// the same machine, and one more for each 16 calls that wait, 4 at most; and to more the
	// longer it is: 2 at 0.1ms, 6 at 1ms, 22 at 5ms, 32 from 8ms on.
	BatchesInFlight int

	// OnBatch is called with each batch of calls that are decided together, before it is sent, with
	// their number: 1 for a lone call. It must be quick, and safe for concurrent use. Behind a proxy
	// that shards keys, and in a Cluster, a batch has a command for each key. Optional.
	OnBatch func(calls int)
}

// RedisStore is a [Store] that keeps the logs in Redis, so that all processes that
// use the same Redis, prefix and limit names share one quota. It decides on the
// clock of the Redis server. It needs Redis 7.0 or Valkey 7.2 or later, as a single
// server, behind Sentinel or as a Cluster.
//
// # Batches
//
// A lone call goes at once, in its caller's goroutine (without package redisconn only if its
// context cannot end: else the caller could not leave). Calls that are made at the same time in
// one process share a command: while batches are under way the next one gathers, and is
// decided in the order in which its calls came. No call waits for a timer. How many batches are
// under way follows the network (see RedisConfig.BatchesInFlight). In a Cluster a
// batch is of one node, with a command for each key, and these go out together. Each call has its own answer or error. One
// whose context ends leaves at once; if it was not sent yet it takes nothing. Behind a proxy that
// shards keys, [RedisStore.Check] ends the sharing of commands between keys. Peeks, refunds and
// resets are not in batches. A few at a time have a connection each, and others share one.
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
// more, the header, for the whole. Hits of one microsecond are written one microsecond apart. It takes about 20 bytes each up to 127 calls (the server's
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
// or refunds the key. The store remembers up to 100,000 refusals, of about 600 bytes each, and
// gives one again to the same call of the same key without a command, with [ReasonCached] and
// the RetryAfter that is left. The first time it asks once more (ReasonRefused), through the
// client-side cache of rueidis (Client.DoCache): Redis then tells the client of each write to
// that log. So a Reset or a Refund has reopened the key in its own process when it returns, and
// in another within a millisecond of the word of Redis. How long a refusal stands is counted on the
// process's monotonic clock, from before Redis was asked. After 10 seconds Redis is asked again:
// its clock may have leapt forward, or its word been lost. Of several limits, Redis tells of the
// one that refused; what the Decision says of the others may be 10 seconds old. Peek always asks.
//
// A client without that cache (ClientOption.DisableCache, AlwaysRESP2) asks Redis each time, and
// once more every 10 seconds. In ClientOption.ClientTrackingOptions there must be no NOLOOP, and a
// BCAST must cover the Prefix of the store: else a reopened key can stay refused for up to 10
// seconds.
type RedisStore struct {
	*link
	refused refusals
}

var (
	_ Store  = (*RedisStore)(nil)
	_ Parted = (*RedisStore)(nil)
)

// NewRedisStore returns a Store over a client, which it does not own: close the
// client yourself, after the last call. It makes no call to Redis. Its errors match
// [ErrInvalidConfig].
//
// Make the client as package config does, with these settings of rueidis.ClientOption:
//
//   - DialCtxFn, with Dial of package redisconn: without it a server that sends what no command
//     asked for, as a Redis at maxclients does, can end the process by a panic of rueidis that
//     nothing here can recover, and a connection to a server that has become a replica stays.
//   - ConnLifetime, such as a minute: without it the connection of the client-side cache stays
//     at an old master for as long as that takes writes. (RedisConfig.ConnectionLifetime is for
//     the others, which rueidis makes anew only when they are not in use.)
//   - ReadBufferEachConn and WriteBufferEachConn, such as 32 KiB: each batch under way has a
//     connection, of 1 MiB by default.
//
// AlwaysPipelining is not needed. Do not set DisableAutoPipelining: rueidis v1.0.79 panics with it
// when a Cluster moves a slot under its client-side cache. Do not set BlockingPoolCleanup: it can
// hold up all calls for seconds while Redis hangs.
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
	if config.ConnectionLifetime == 0 {
		config.ConnectionLifetime = defaultConnectionLifetime
	}
	if config.ConnectionLifetime < 0 {
		errs = append(errs, fmt.Errorf("%w: RedisConfig.ConnectionLifetime is %v; allowed: more than 0s (0s stands for the default of %v)",
			ErrInvalidConfig, config.ConnectionLifetime, defaultConnectionLifetime))
	}
	batches := groupLimits{batches: config.BatchesInFlight, size: config.BatchSize}
	for _, setting := range []struct {
		name      string
		value     *int
		byDefault string
	}{{"BatchSize", &batches.size, "the default of 256"}, {"BatchesInFlight", &batches.batches, "the default"}} {
		if *setting.value < 0 {
			errs = append(errs, fmt.Errorf("%w: RedisConfig.%s is %d; allowed: 1 or more (0 stands for %s)",
				ErrInvalidConfig, setting.name, *setting.value, setting.byDefault))
		}
	}
	if batches.size == 0 {
		batches.size = defaultBatchSize
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	l := &link{
		client:  client,
		prefix:  config.Prefix,
		name:    "redis:" + config.Prefix,
		timeout: config.Timeout,
		onBatch: config.OnBatch,
		take:    newScript(decide, "EVALSHA", false),
		peek:    newScript(decide, "EVALSHA_RO", true),
		settle:  newScript(refund, "EVALSHA", true), // one that comes twice settles once
		// Not one that comes twice: another call may get a place ahead of the clock in between, and
		// of an entry that calls share it would take the units of others.
		leave: newScript(refund, "EVALSHA", false),
	}
	l.calls.Lifetime = config.ConnectionLifetime
	if client.Mode() == rueidis.ClientModeCluster {
		l.slots = &slots{client: client, prefix: config.Prefix, timeout: config.Timeout}
	}
	s := &RedisStore{link: l}
	s.refused.parts = newParts(l, batches)
	s.refused.now = time.Now
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
		return Decision{}, ContextEnded(ctx)
	case req.Peek:
		return s.look(ctx, &req)
	case req.Wait:
		ctx = context.WithoutCancel(ctx) // a place that is taken must become known
	}
	d, err := s.refused.take(ctx, &req, s.deadline(ctx))
	if d.Granted > 0 {
		d.Store = s.name
	}
	return d, err
}

// look peeks.
func (s *RedisStore) look(ctx context.Context, req *Request) (Decision, error) {
	c := &call{}
	c.ask(req)
	err := s.bounded(ctx, func(ctx context.Context, pooled bool) error {
		b := &batch{calls: []*call{c}}
		s.ask(ctx, s.client, pooled, s.peek, []*batch{b})
		return errors.Join(b.err, c.err)
	})
	if err != nil {
		return Decision{}, err
	}
	return c.decision, nil
}

// Part implements [Parted]: the address of the node of a Cluster that serves the key's slot, ""
// with a single server, or while that is not known. By slot instead of by node, each of thousands
// of slots would have to find out by its own timeouts that a node is away.
func (s *RedisStore) Part(key string) string {
	if s.slots == nil {
		return ""
	}
	if n := s.slots.nodeOf(key); n != nil {
		return n.name
	}
	return ""
}

// Close waits for the calls of Take that are under way and may count. Later ones fail with
// [ErrStoreUnavailable]. It does not close the client.
func (s *RedisStore) Close() {
	s.closed.Store(true)
	s.refused.close()
}

// Settle implements [Store] in one command, EVALSHA, or in none if nothing changes; in one for
// each limit, if Redis refuses their logs in one command. Any store with the same Prefix can
// settle, in any process. It cannot tell a Decision of another Redis with that Prefix: it then
// finds nothing to settle.
func (s *RedisStore) Settle(ctx context.Context, key string, d Decision, units []int64) error {
	if d.Granted == 0 {
		return nil
	}
	if d.Store != s.name {
		return fmt.Errorf("%w: Decision.Store is %s; allowed: %q", ErrForeignDecision, quoteShort(d.Store), s.name)
	}
	q, again := settlement(s.prefix, key, &d, units)
	if len(q.keys) == 0 {
		return nil
	}
	defer s.refused.forget(key) // also after an error: it may have been done
	return s.bounded(ctx, func(ctx context.Context, pooled bool) error {
		return eachIfRefused(len(q.keys), again, func(from, to int, again bool) error {
			settle := s.leave
			if again {
				settle = s.settle
			}
			b := &batch{question: question{keys: q.keys[from:to], args: q.args[4*from : 4*to]}}
			settle.exec(ctx, s.client, pooled, []*batch{b})
			return b.reply.Error()
		})
	})
}

// Reset implements [Store] in one command, or in one for each limit, if Redis refuses their logs
// in one command, as it may while the key's slot is being moved.
func (s *RedisStore) Reset(ctx context.Context, key string, limits []Limit) error {
	defer s.refused.forget(key) // also after an error: it may have been done
	return s.bounded(ctx, func(ctx context.Context, pooled bool) error {
		keys := appendKeys(nil, s.prefix, key, limits)
		return eachIfRefused(len(keys), true, func(from, to int, again bool) error {
			return unlink(ctx, s.client, pooled, again, keys[from:to]...)
		})
	})
}

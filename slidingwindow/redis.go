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

	// Timeout bounds each call, in addition to the caller's context. A call that takes longer
	// fails with ErrStoreUnavailable. 0 stands for the default, a negative value is an error.
	// Defaults to 250ms.
	Timeout time.Duration

	// BatchSize is the largest number of calls that share a command: 1 or more. Redis serves
	// nobody else while it decides a batch, which takes about 5 us per call. 0 stands for the
	// default, a negative value is an error. Defaults to 256.
	BatchSize int

	// ConnectionLifetime bounds how long a connection is used. So calls follow an address that
	// has moved to another server while the old server still runs. It applies to connections of
	// package redisconn. 0 stands for the default, a negative value is an error. Defaults to 1m.
	ConnectionLifetime time.Duration

	// BatchesInFlight is how many batches may be under way at a time, in a Cluster for
	// each node: 1 or more. Each has a connection of its own. A negative value is an error.
	// 0 stands for the default. Defaults to a number that follows the round trip. Below 0.1ms, as
	// on the same machine, it is 1, plus 1 for each 16 calls that wait, at most 4. Otherwise it
	// grows with the round trip: 2 at 0.1ms, 6 at 1ms, 22 at 5ms, and 32 from 7.5ms on.
	BatchesInFlight int

	// OnBatch is called before each batch is sent, with the number of calls in it: 1 for a lone
	// call. It must be quick, and safe for concurrent use. Behind a proxy that shards keys, and in
	// a Cluster, a batch has a command for each key. Optional.
	OnBatch func(calls int)
}

// RedisStore is a [Store] that keeps the logs in Redis, so that all processes that
// use the same Redis, prefix and limit names share one quota. It decides on the
// clock of the Redis server. It needs Redis 7.0 or Valkey 7.2 or later, as a single
// server, behind Sentinel or as a Cluster.
//
// # Batches
//
// A lone call is sent at once, in its caller's goroutine. (Without package redisconn that needs a
// context that cannot end: otherwise the caller could not leave.) Calls that are made at the same
// time in one process share a command: while batches are under way, the next batch gathers. Its
// calls are decided in the order in which they came. No call waits for a timer. The number of
// batches under way follows the network (see RedisConfig.BatchesInFlight). In a Cluster a batch is
// for one node. It has a command for each key, and these are sent together. Each call has its own
// answer or error. A call whose context ends returns at once. If it was not sent yet, it takes
// nothing. Behind a proxy that shards keys, [RedisStore.Check] stops different keys from sharing a
// command. Peeks, refunds and resets are not in batches. A few at a time have a connection each,
// and the others share one.
//
// While a slot of a Cluster moves to another node, calls with one limit are still decided, and
// what they count moves along. With several limits, the logs of a key can be on both nodes. Such a
// call is tried again for about 30 ms. Then it fails with ErrStoreUnavailable (TRYAGAIN) and counts
// nothing. A new key with several limits fails in the same way until its slot has moved.
//
// # Failover
//
// Redis does not wait for its replicas. When a master dies and a replica takes over, by Sentinel
// or in a Cluster, calls fail with ErrStoreUnavailable until the client has found the new master.
// That mostly takes a second or two longer than the time after which a server counts as dead. The
// new master lacks the units that had not reached it, and these can be taken again. If the replica
// kept up, these are the units of some milliseconds, or none. If it was cut off, they are all units
// since then. The server's settings min-replicas-to-write 1 and min-replicas-max-lag 1 bound
// that time to about two seconds: a master whose replica is late then allows nothing
// (ErrStoreUnavailable, NOREPLICAS). A store that is connected to a replica peeks and refuses, but
// does not allow (READONLY).
//
// # Logs
//
// A log is one sorted set. It has one entry for each allowed call of the last window, and a header
// for the whole log. Hits in the same microsecond are written one microsecond apart. In a log of up
// to 127 calls (the server's zset-max-listpack-entries less one) an entry takes about 20 bytes, or
// 22 if the call took several units. In a larger log it takes about 113 bytes. A log expires by
// itself, at most two windows after the last allowed call: its time to live is set once a window.
// What a call costs Redis hardly grows with the log, unless calls in it took several units. Then a
// call reads the entries that have left the window to count their units (an allowed call removes
// them), and a refusal reads the entries that must leave before the cost fits.
//
// A log of another format, as versions before v0.1.0 wrote, is foreign data. It is never read as a
// log of this format: calls for its key fail with ErrForeignData until it expires or is reset.
// Another Prefix starts with new logs at once.
//
// # Cached refusals
//
// A refusal writes nothing, so it stands until a hit leaves the window, or somebody resets or
// refunds the key. The store remembers up to 100,000 refusals, of about 600 bytes each. It repeats
// a refusal to the same call of the same key without a command, with [ReasonCached] and the
// RetryAfter that is left. The first time it asks Redis once more (ReasonRefused), through the
// client-side cache of rueidis (Client.DoCache). From then on Redis tells the client of each write
// to that log. So a Reset or a Refund has reopened the key in its own process when it returns. In
// other processes the key is open within a millisecond after the message of Redis arrives. How long
// a refusal stands is counted on the process's monotonic clock, from before Redis was asked. After
// 10 seconds Redis is asked again: its clock may have been set forward, or its message may have
// been lost. With several limits, Redis tells only of the limit that refused. What the Decision
// says of the others may be 10 seconds old. Peek always asks Redis.
//
// A client without that cache (ClientOption.DisableCache, AlwaysRESP2) asks Redis each time, and
// sends one more command every 10 seconds. ClientOption.ClientTrackingOptions must not have NOLOOP,
// and a BCAST must cover the Prefix of the store. Otherwise a reopened key can stay refused for up
// to 10 seconds.
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
//   - DialCtxFn, with Dial of package redisconn. Without it, rueidis panics when a server sends
//     what no command asked for, as Redis at maxclients does. Nothing here can recover that panic,
//     and it ends the process. And a connection to a server that has become a replica stays open.
//   - ConnLifetime, such as a minute. Without it the connection of the client-side cache stays
//     at an old master for as long as that takes writes. (RedisConfig.ConnectionLifetime is for
//     the other connections. rueidis replaces these only when they are not in use.)
//   - ReadBufferEachConn and WriteBufferEachConn, such as 32 KiB. Each batch under way has a
//     connection, and a connection takes 1 MiB by default.
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
		settle:  newScript(refund, "EVALSHA", true), // the second of two changes nothing
		// The second of two can do harm: meanwhile another call may have got the same place ahead of
		// the clock, and in an entry that calls share it takes units of other calls.
		leave: newScript(refund, "EVALSHA", false),
	}
	l.calls.Lifetime = config.ConnectionLifetime
	if client.Mode() == rueidis.ClientModeCluster {
		l.slots = &slots{client: client, prefix: config.Prefix, timeout: config.Timeout}
	}
	s := &RedisStore{link: l}
	s.refused.parts = newParts(l, batches)
	s.refused.at = func(now time.Time) time.Time { return now } // tests have a clock of their own
	return s, nil
}

// Take implements [Store]. A refusal that still stands takes no command. Other calls are
// decided in one EVALSHA, together with those that are made at the same time. A peek has an
// EVALSHA_RO of its own. If the server does not know the script yet, the command is sent again
// as EVAL (EVAL_RO for a peek).
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
	d, err := s.refused.take(ctx, &req, time.Now())
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

// Part implements [Parted]. It returns the address of the node of a Cluster that serves the key's
// slot. It returns "" with a single server, or while the node is not known. A part is a node and
// not a slot: otherwise each of thousands of slots would need its own timeouts to find out that a
// node is away.
func (s *RedisStore) Part(key string) string {
	if s.slots == nil {
		return ""
	}
	if n := s.slots.nodeOf(key); n != nil {
		return n.name
	}
	return ""
}

// Close waits for the calls of Take that are under way and may count. Later calls fail with
// [ErrStoreUnavailable]. It does not close the client.
func (s *RedisStore) Close() {
	s.closed.Store(true)
	s.refused.close()
}

// Settle implements [Store]. It sends one EVALSHA, or none if nothing changes. If Redis refuses
// several logs in one command, it sends one for each limit. Any store with the same Prefix can
// settle, in any process. It does not notice a Decision of another Redis with that Prefix: it then
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

// Reset implements [Store] in one command. If Redis refuses several logs in one command, as it may
// while the key's slot is being moved, it sends one for each limit.
func (s *RedisStore) Reset(ctx context.Context, key string, limits []Limit) error {
	defer s.refused.forget(key) // also after an error: it may have been done
	return s.bounded(ctx, func(ctx context.Context, pooled bool) error {
		keys := appendKeys(nil, s.prefix, key, limits)
		return eachIfRefused(len(keys), true, func(from, to int, again bool) error {
			return unlink(ctx, s.client, pooled, again, keys[from:to]...)
		})
	})
}

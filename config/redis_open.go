package config

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/lease"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// retryEvery is how long to wait between two attempts to connect.
const retryEvery = 250 * time.Millisecond

// Store is the store of a configuration, ready to use. [Redis.Open] makes one.
type Store struct {
	*guard.Store

	decides slidingwindow.Store // the guarded store, or the leases over it
	leases  *lease.Store        // nil without leases
	redis   *lateRedis          // nil if the limits are kept in memory
}

// Open returns the store that r describes, guarded by r.OnFailure. The store is in Redis, over a
// connection like that of [Redis.Connect]. With memory:// it is in this process, and Open uses no
// other setting of r but Logger. One store is enough for a program: share it, and Close it after
// the last call.
//
// Open connects, and then proves with [slidingwindow.RedisStore.Check] that Redis can decide. Check
// also finds a proxy behind which several keys must not share a command. The errors of Open are
// those of Connect and of Check. A fault that somebody must mend is always an error: a wrong
// password or certificate, a missing right, a replica instead of its master. So is the end of
// ctx. An outage, which passes by itself, is an error only with guard.Closed: nobody answers, or
// Redis is loading its data, is out of memory or lacks replicas. With the other policies Open then
// returns a store that works by r.OnFailure until Redis can decide.
//
// Open warns r.Logger of each limit that was loaded with r and whose log can have 100,000 entries for
// one key. The warning has the size in bytes: see [slidingwindow.Limit.LogBytes].
func (r Redis) Open(ctx context.Context) (*Store, error) {
	r.warnOfLogs(ctx)
	if r.InMemory() {
		guarded, err := guard.New(memory.New(), guard.Config{Logger: r.Logger})
		if err != nil {
			return nil, err
		}
		return &Store{Store: guarded, decides: guarded}, nil
	}
	late := &lateRedis{config: r}
	policy := guard.Config{OnFailure: r.OnFailure, Instances: r.Instances, Logger: r.Logger}
	if r.OnFailure == guard.Fallback {
		policy.Fallback = memory.New()
	}
	guarded, err := guard.New(late, policy)
	if err != nil {
		return nil, err
	}
	opened := &Store{Store: guarded, decides: guarded, redis: late}
	if r.Lease != 0 {
		if opened.leases, err = lease.New(guarded, lease.Config{For: r.Lease}); err != nil {
			return nil, err
		}
		opened.decides = opened.leases
	}
	if err = late.open(ctx); err != nil {
		return nil, err
	}
	return opened, nil
}

// Take implements [slidingwindow.Store].
func (s *Store) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	return s.decides.Take(ctx, req)
}

// Settle implements [slidingwindow.Store].
func (s *Store) Settle(ctx context.Context, key string, d slidingwindow.Decision, units []int64) error {
	return s.decides.Settle(ctx, key, d, units)
}

// Reset implements [slidingwindow.Store].
func (s *Store) Reset(ctx context.Context, key string, limits []slidingwindow.Limit) error {
	return s.decides.Reset(ctx, key, limits)
}

// CheckLimits implements [slidingwindow.LimitChecker].
func (s *Store) CheckLimits(limits []slidingwindow.Limit) error {
	if s.leases != nil {
		return s.leases.CheckLimits(limits)
	}
	return nil
}

// Available reports whether calls go to Redis at the moment. It asks nobody; use it for metrics. See
// [guard.Store]. With memory:// it is always true.
func (s *Store) Available() bool {
	return s.Store.Available() && (s.redis == nil || s.redis.now.Load() != nil)
}

// Ping reports whether Redis can decide now, by [slidingwindow.RedisStore.Check]. It does not depend
// on OnFailure. In a Cluster every node with slots must be able to decide. The error says why Redis
// cannot decide and what to do, and matches [slidingwindow.ErrStoreUnavailable]. With memory:// there
// is never an error. Give it a ctx with a deadline.
//
// Ping is for alerts, for a page that shows the state of Redis and, with guard.Closed, for a
// readiness probe. With guard.Open and guard.Fallback a service is ready without Redis. Never use it
// in a liveness probe: a restart of the service does not bring Redis back.
func (s *Store) Ping(ctx context.Context) error {
	if s.redis == nil {
		return nil
	}
	connected, err := s.redis.connected()
	if err != nil {
		return err
	}
	return connected.Check(ctx)
}

// Close waits for the calls that are under way, gives back the unused units of leases and closes the
// connection. It also ends the search for a Redis that was away at the start. OnFailure answers later
// calls, as in an outage. A store of memory:// goes on as before.
func (s *Store) Close() {
	if s.leases != nil {
		_ = s.leases.Close() // units that Redis does not take back count until they leave the window
	}
	if s.redis != nil {
		s.redis.close()
	}
}

// lateRedis is a store in a Redis that may start later than the program.
type lateRedis struct {
	config Redis

	now    atomic.Pointer[connectedRedis] // nil until Redis is there
	why    atomic.Pointer[notThere]       // why Redis is not there
	cancel context.CancelFunc             // ends the search
	search sync.WaitGroup
}

type connectedRedis struct {
	*slidingwindow.RedisStore
	client rueidis.Client
}

type notThere struct{ err error }

var errClosed = fmt.Errorf("%w: the store is closed", slidingwindow.ErrStoreUnavailable)

// open connects. If Redis is away and the policy allows it, open begins to search for Redis.
func (l *lateRedis) open(ctx context.Context) error {
	if l.config.URL.open == nil {
		return errRequired
	}
	m := newMonitor(l.config.server(), l.config.logger())
	proved, err := l.connect(ctx, m)
	switch {
	case proved:
		return nil
	case err == nil: // it cannot decide yet
	case !l.mayBeLate() || !m.outage || ctx.Err() != nil:
		return err
	default:
		l.missing(err)
		l.config.logger().Warn("starting without redis, which is looked for", "on_failure", l.config.OnFailure, "error", err)
	}
	searching, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.search.Go(func() {
		if err == nil || !l.find(searching, m) {
			l.prove(searching)
		}
	})
	return nil
}

// mayBeLate reports whether the policy can do without Redis.
func (l *lateRedis) mayBeLate() bool {
	return l.config.OnFailure != "" && l.config.OnFailure != guard.Closed
}

// connect connects. proved is whether Redis has shown that it can decide.
func (l *lateRedis) connect(ctx context.Context, m *monitor) (proved bool, err error) {
	client, err := m.connect(ctx)
	if err != nil {
		return false, err
	}
	store, err := slidingwindow.NewRedisStore(client, l.config.StoreConfig())
	if err == nil {
		proved, err = l.check(ctx, store, client.Mode(), m.server.timeout())
	}
	if err != nil {
		client.Close()
		return false, err
	}
	l.now.Store(&connectedRedis{store, client})
	return proved, nil
}

// find tries to connect until it succeeds. proved is as of connect. It logs why Redis cannot be used
// when the reason changes from an outage to a fault that somebody must mend.
func (l *lateRedis) find(ctx context.Context, last *monitor) (proved bool) {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retryEvery):
		}
		m := last.again()
		proved, err := l.connect(ctx, m)
		if err == nil || ctx.Err() != nil {
			return proved
		}
		if !m.outage && last.outage {
			l.config.logger().Error("redis is there, but cannot be used", "error", err)
		}
		l.missing(err)
		last = m
	}
}

func (l *lateRedis) missing(err error) {
	l.why.Store(&notThere{fmt.Errorf("%w: %w", slidingwindow.ErrStoreUnavailable, err)})
}

func (l *lateRedis) connected() (*connectedRedis, error) {
	if connected := l.now.Load(); connected != nil {
		return connected, nil
	}
	return nil, l.why.Load().err
}

func (l *lateRedis) close() {
	if l.cancel != nil {
		l.cancel()
		l.search.Wait()
	}
	l.why.Store(&notThere{errClosed})
	if connected := l.now.Load(); connected != nil {
		connected.Close()
		connected.client.Close()
	}
}

// Part implements [slidingwindow.Parted].
func (l *lateRedis) Part(key string) string {
	if connected := l.now.Load(); connected != nil {
		return connected.Part(key)
	}
	return ""
}

// Take implements [slidingwindow.Store].
func (l *lateRedis) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	store, err := l.connected()
	if err != nil {
		return slidingwindow.Decision{}, err
	}
	return store.Take(ctx, req)
}

// Settle implements [slidingwindow.Store].
func (l *lateRedis) Settle(ctx context.Context, key string, d slidingwindow.Decision, units []int64) error {
	store, err := l.connected()
	if err != nil {
		return err
	}
	return store.Settle(ctx, key, d, units)
}

// Reset implements [slidingwindow.Store].
func (l *lateRedis) Reset(ctx context.Context, key string, limits []slidingwindow.Limit) error {
	store, err := l.connected()
	if err != nil {
		return err
	}
	return store.Reset(ctx, key, limits)
}

var _ slidingwindow.Parted = (*lateRedis)(nil)

// proveEvery is how long to wait before a connected Redis that could not decide is checked again.
const proveEvery = time.Second

// check checks whether the connected Redis can decide. An outage is an error only if the policy
// cannot do without Redis. A Cluster is then used as it is, because its other nodes may decide.
func (l *lateRedis) check(ctx context.Context, store *slidingwindow.RedisStore, mode rueidis.ClientMode, bound time.Duration) (proved bool, err error) {
	err = checkInTime(ctx, store, bound)
	isCluster := mode == rueidis.ClientModeCluster
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, slidingwindow.ErrMisconfigured), ctx.Err() != nil, !isCluster && !l.mayBeLate():
		return false, &connectError{strings.ReplaceAll("\n"+err.Error(), "\nslidingwindow: ", "\n")[1:], err}
	default:
		l.config.logger().Warn("redis is there, but cannot decide yet", "on_failure", l.config.OnFailure, "error", err)
		return isCluster, nil
	}
}

// checkInTime repeats a check that timed out, until bound is over. On a busy computer the first answer
// may take longer than the timeout of a decision.
func checkInTime(ctx context.Context, store *slidingwindow.RedisStore, bound time.Duration) error {
	for until := time.Now().Add(bound); ; {
		err := store.Check(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryEvery):
		}
	}
}

// prove checks the connected Redis until it can decide, because the store must know what a check
// finds, such as a proxy.
func (l *lateRedis) prove(ctx context.Context) {
	connected := l.now.Load()
	told := false
	for connected != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(proveEvery):
		}
		err := connected.Check(ctx)
		switch {
		case err == nil:
			l.config.logger().Info("redis can decide")
			return
		case errors.Is(err, slidingwindow.ErrMisconfigured) && !told:
			l.config.logger().Error("redis is there, but cannot be used", "error", err)
			told = true
		}
	}
}

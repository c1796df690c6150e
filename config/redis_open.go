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

// How often a Redis that was not there at the start is looked for.
const retryEvery = 250 * time.Millisecond

// Store is the store of a configuration, ready to use. Make one with [Redis.Open].
type Store struct {
	*guard.Store

	decides slidingwindow.Store // the guarded store, or the leases over it
	leases  *lease.Store        // nil without leases
	redis   *lateRedis          // nil if the limits are kept in memory
}

// Open returns the store that r asks for, guarded by r.OnFailure: one in Redis, over a
// connection as [Redis.Connect] makes it, or with memory:// one within this process. One is
// enough for a program: share it, and Close it after the last call.
//
// It connects, and then proves that decisions can be made, by
// [slidingwindow.RedisStore.Check], which also finds out whether there is a proxy that several keys
// must not share a command behind. Its errors are those of Connect and of Check. But if
// r.OnFailure is not guard.Closed, and what keeps Redis from deciding passes by itself, it returns a
// store that does without Redis, as in any other outage, until Redis can decide: nobody
// answers there, it is loading its data, has no memory left or lacks replicas. What somebody must
// mend is an error in any case, as long as it shows at the start: a wrong password or
// certificate, a right that the user lacks, a replica in place of its master. So is
// that ctx ended first. With memory:// the other settings of r but Logger mean nothing.
//
// It warns r.Logger of each limit that was loaded with r and whose log can have 100,000 entries for
// one key, and says how many bytes that is: see [slidingwindow.Limit.LogBytes].
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

// Available tells whether Redis is asked for decisions, for metrics; see
// [guard.Store]. With memory:// it is always true.
func (s *Store) Available() bool {
	return s.Store.Available() && (s.redis == nil || s.redis.now.Load() != nil)
}

// Ping tells whether Redis can decide now, by [slidingwindow.RedisStore.Check], whatever
// r.OnFailure makes of it if not; in a Cluster every node that has slots must. Its error
// says why it cannot, and what to do, and matches [slidingwindow.ErrStoreUnavailable].
// With memory:// there is nobody to ask, and no error. Give it a ctx with a deadline.
//
// It is for a readiness probe where r.OnFailure is guard.Closed, for a page that tells how Redis is,
// and for an alert. With guard.Open and guard.Fallback a service is ready without Redis. A liveness probe
// must never ask it: to restart a service does not bring Redis back.
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

// Close gives back what is left of leases, and ends the connection, after the calls that are under way, and what looks for Redis.
// Later calls are answered as in an outage, by OnFailure; with memory:// as before.
func (s *Store) Close() {
	if s.leases != nil {
		_ = s.leases.Close() // what Redis does not take back counts until it has left the window
	}
	if s.redis != nil {
		s.redis.close()
	}
}

// lateRedis is a store in Redis that may be there later than the program.
type lateRedis struct {
	config Redis

	now    atomic.Pointer[connectedRedis] // nil until it is there
	why    atomic.Pointer[notThere]       // why it is not
	cancel context.CancelFunc             // ends the search
	search sync.WaitGroup
}

type connectedRedis struct {
	*slidingwindow.RedisStore
	client rueidis.Client
}

type notThere struct{ err error }

var errClosed = fmt.Errorf("%w: the store is closed", slidingwindow.ErrStoreUnavailable)

// open connects, or begins to search if it may.
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

// mayBeLate tells whether the policy does without Redis.
func (l *lateRedis) mayBeLate() bool {
	return l.config.OnFailure != "" && l.config.OnFailure != guard.Closed
}

// connect connects, and tells whether it is proved that decisions can be made.
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

// find connects as soon as it can, and tells whether it is then proved that decisions can be made.
// What it meets on the way is logged when it changes.
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

// How often a Redis that was connected to, but could not decide, is tried again.
const proveEvery = time.Second

// check tells whether it is proved that the Redis that was connected to can decide. What does not
// let it, but passes by itself, is an error only if the policy cannot do without Redis. A Cluster
// is used as it is then, because its other nodes may decide.
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

// checkInTime checks again while no answer comes in time, for no longer than bound: a busy
// computer may take longer for the first answer than decisions may.
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

// prove checks the Redis that is connected to until it can decide: what a check finds out, such
// as a proxy, must be known.
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

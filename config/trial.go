package config

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

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

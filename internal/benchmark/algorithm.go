package main

import (
	"context"
	"time"
)

// An allower judges calls for one key in the order of their times.
type allower func(now time.Time) (bool, error)

// algorithm is one way to limit, on a clock that a simulation sets.
type algorithm struct {
	name string
	open func(q quota) (allower, error)
}

// algorithms are reference implementations of the classic ones, written for this comparison
// in their usual form, which refuses without counting; and ours, which is the real MemoryStore.
func algorithms() []algorithm {
	return []algorithm{
		{"fixed window (reference)", fixedWindowReference},
		{"sliding counter (reference)", slidingCounterReference},
		{"GCRA (reference)", gcraReference},
		{"ratelimit (MemoryStore)", slidingLog},
	}
}

// fixedWindowReference counts in a window that begins with a call, as INCR and PEXPIRE do.
func fixedWindowReference(q quota) (allower, error) {
	var begins time.Time
	var used int64
	return func(now time.Time) (bool, error) {
		if used == 0 || now.Sub(begins) >= q.Window {
			begins, used = now, 0
		}
		if used >= q.Max {
			return false, nil
		}
		used++
		return true, nil
	}, nil
}

// slidingCounterReference counts in windows of the clock, and takes the calls of the one
// before as spread evenly over it.
func slidingCounterReference(q quota) (allower, error) {
	var window time.Time
	var used, before int64
	return func(now time.Time) (bool, error) {
		if current := now.Truncate(q.Window); !current.Equal(window) {
			if current.Sub(window) == q.Window {
				before = used
			} else {
				before = 0
			}
			window, used = current, 0
		}
		still := 1 - float64(now.Sub(window))/float64(q.Window)
		if float64(before)*still+float64(used)+1 > float64(q.Max) {
			return false, nil
		}
		used++
		return true, nil
	}, nil
}

// gcraReference refills Max tokens in a Window and holds as many, as redis_rate.PerMinute.
func gcraReference(q quota) (allower, error) {
	every := q.Window / time.Duration(q.Max)
	var full time.Time // when the bucket will be full again
	return func(now time.Time) (bool, error) {
		if full.Before(now) {
			full = now
		}
		if full.Add(every).Sub(now) > q.Window {
			return false, nil
		}
		full = full.Add(every)
		return true, nil
	}, nil
}

func slidingLog(q quota) (allower, error) {
	var now time.Time
	store, err := newMemoryStore(func() time.Time { return now })
	if err != nil {
		return nil, err
	}
	limiter, err := newLimiter(store, one(q))
	if err != nil {
		return nil, err
	}
	return func(at time.Time) (bool, error) {
		now = at
		d, err := limiter.Allow(context.Background(), "user:42")
		return d.Allowed, err
	}, nil
}

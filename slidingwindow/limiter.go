package slidingwindow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync/atomic"
	"time"
)

// Limiter applies one or more limits to keys. Each call of a method is one call of the
// store's, and mostly one round trip to Redis: one more if Redis does not know the script yet or
// a Cluster has moved the key, or to give a place in line back, and none for a refusal that
// [RedisStore] knows to stand. All methods are safe for concurrent use.
type Limiter struct {
	store  Store
	limits []Limit
	mode   *atomic.Uint32 // a Mode, shared with those that WithLimits makes; nil only if not made with New

	observer Observer // nil if nobody is told
}

var errNotMade = fmt.Errorf("%w: the Limiter was not made with New", ErrInvalidConfig)

// New returns a Limiter of one or more limits over a store. Several limits ("10 a
// second and 1000 an hour") are decided together: a call is allowed if all of them
// allow it, and a refusal by one takes nothing from the others.
//
// The error names every limit that is out of range or shares its name with another
// and matches [ErrInvalidLimit]; a nil store matches [ErrInvalidConfig].
//
// Two limiters over one store share the counts of limits that have the same name, also of a
// name given by default: name the limits that must count apart.
func New(store Store, limits ...Limit) (*Limiter, error) {
	if isNil(store) {
		return nil, fmt.Errorf("%w: store is nil; make one with NewRedisStore or memory.New", ErrInvalidConfig)
	}
	named, err := checkLimits(store, limits)
	if err != nil {
		return nil, err
	}
	return &Limiter{store: store, limits: named, mode: new(atomic.Uint32)}, nil
}

// WithLimits returns a Limiter of other limits over the same store, for limits that are known
// only at run time, such as those of a customer's plan. The two share their [Mode]: SetMode of
// either works on both. Its errors are those of [New]. It is cheap, but not free: keep what it
// returns for the limits that recur.
func (l *Limiter) WithLimits(limits ...Limit) (*Limiter, error) {
	if l.store == nil {
		return nil, errNotMade
	}
	named, err := checkLimits(l.store, limits)
	if err != nil {
		return nil, err
	}
	return &Limiter{store: l.store, limits: named, mode: l.mode, observer: l.observer}, nil
}

// MustNew is [New] that panics with the error: for limits that are written in the program.
func MustNew(store Store, limits ...Limit) *Limiter {
	l, err := New(store, limits...)
	if err != nil {
		panic(err)
	}
	return l
}

// isNil reports whether store is nil or holds a nil pointer.
func isNil(store Store) bool {
	v := reflect.ValueOf(store)
	return store == nil || v.Kind() == reflect.Pointer && v.IsNil()
}

// checkLimits returns a copy of the limits with their names filled in.
func checkLimits(store Store, limits []Limit) ([]Limit, error) {
	if len(limits) == 0 {
		return nil, fmt.Errorf("%w: none was given; allowed: one or more, such as PerMinute(100)", ErrInvalidLimit)
	}
	var errs []error
	named := make([]Limit, len(limits))
	seen := make(map[string]int, len(limits))
	for i, limit := range limits {
		if err := limit.Validate(); err != nil {
			errs = append(errs, err)
			continue
		}
		named[i] = limit.withDefaults()
		if first, twice := seen[named[i].Name]; twice {
			errs = append(errs, fmt.Errorf("%w: limits %d and %d are both named %q, so they would share one log; allowed: a Name of its own for each",
				ErrInvalidLimit, first, i, named[i].Name))
			continue
		}
		seen[named[i].Name] = i
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if checker, ok := store.(LimitChecker); ok {
		if err := checker.CheckLimits(named); err != nil {
			return nil, err
		}
	}
	return named, nil
}

// Limits returns a copy of the limits in their order, with their names filled in.
func (l *Limiter) Limits() []Limit {
	return append([]Limit(nil), l.limits...)
}

// Store returns the store that the limiter was made with, nil if it was not made with New.
func (l *Limiter) Store() Store { return l.store }

// Allow is shorthand for AllowN of one unit.
func (l *Limiter) Allow(ctx context.Context, key string) (Decision, error) {
	return l.AllowN(ctx, key, 1)
}

// AllowN asks for n units for key and takes all of them, or none: the answer is
// Decision.Allowed. n is 1 or more ([ErrInvalidCost]) and at most the Max of every
// limit ([ErrCostExceedsLimit]; a limit whose Max is 0 refuses instead). The key may
// hold any bytes and must not be empty ([ErrInvalidKey]); one of more than 128 bytes
// is replaced by its SHA-512 hash.
//
// A store that cannot decide gives [ErrStoreUnavailable] or [ErrForeignData]. When
// ctx ends first, the error is that of ctx, and whether the units were taken is then
// not known.
func (l *Limiter) AllowN(ctx context.Context, key string, n int64) (d Decision, err error) {
	if err := l.checkUnits(n); err != nil {
		return d, err
	}
	err = l.takeInto(ctx, &Request{Key: key, Limits: l.limits, Cost: n}, &d)
	return d, err
}

// AllowAtMost asks for n units for key and takes as many of them as every limit has left, the
// same number of each: Decision.Granted, 1 to n. It is refused if that is none, and RetryAfter is
// then that of one unit. n is 1 or more ([ErrInvalidCost]) and may be above a Max; no call takes
// more than 4,294,967,295. Its other errors are those of AllowN.
//
// All n may be used, although they were not taken, if the Reason is [ReasonOff],
// [ReasonShadow] or [ReasonFailOpen].
func (l *Limiter) AllowAtMost(ctx context.Context, key string, n int64) (Decision, error) {
	if n < 1 {
		return Decision{}, tooFew(n)
	}
	return l.take(ctx, Request{Key: key, Limits: l.limits, Cost: min(n, math.MaxUint32), AtMost: true})
}

// Peek is shorthand for PeekN of one unit.
func (l *Limiter) Peek(ctx context.Context, key string) (Decision, error) {
	return l.PeekN(ctx, key, 1)
}

// PeekN tells what AllowN would answer: whether n units would fit now, and when. It takes
// nothing. Its errors are those of
// AllowN. Because it changes nothing, a Redis client that cannot reach its server asks
// again until the store's timeout, where AllowN fails at once.
func (l *Limiter) PeekN(ctx context.Context, key string, n int64) (Decision, error) {
	if err := l.checkUnits(n); err != nil {
		return Decision{}, err
	}
	return l.take(ctx, Request{Key: key, Limits: l.limits, Cost: n, Peek: true})
}

// checkUnits reports whether a call may ask for n units of every limit.
func (l *Limiter) checkUnits(n int64) error {
	if n < 1 {
		return tooFew(n)
	}
	for i := range l.limits {
		if err := l.limits[i].checkUnits(n); err != nil {
			return err
		}
	}
	return nil
}

func (l *Limit) checkUnits(n int64) error {
	if n > l.Max && l.Max > 0 {
		return fmt.Errorf("%w: %d units asked of limit %q; allowed: at most its Max of %d", ErrCostExceedsLimit, n, l.Name, l.Max)
	}
	return nil
}

func tooFew(n int64) error {
	return fmt.Errorf("%w: %d; allowed: 1 or more units (Peek asks without taking any)", ErrInvalidCost, n)
}

// Reset forgets what key has used of this limiter's limits: its next calls have the
// full Max again, in every process that shares the store. Its errors are
// [ErrInvalidKey], [ErrStoreUnavailable] and that of ctx.
func (l *Limiter) Reset(ctx context.Context, key string) error {
	if key == "" {
		return errEmptyKey
	}
	if l.store == nil {
		return errNotMade
	}
	return l.store.Reset(ctx, boundKey(key), l.limits)
}

func (l *Limiter) take(ctx context.Context, req Request) (d Decision, err error) {
	err = l.takeInto(ctx, &req, &d)
	return d, err
}

// takeInto sets d, which is zero, unless there is an error. It returns no Decision because to
// copy one costs as much as to find a key in memory.
func (l *Limiter) takeInto(ctx context.Context, req *Request, d *Decision) error {
	if req.Key == "" {
		return errEmptyKey
	}
	if l.store == nil {
		return errNotMade
	}
	if l.observer == nil || req.Peek {
		return l.decide(ctx, req, d)
	}
	began := time.Now()
	err := l.decide(ctx, req, d)
	l.tellDecided(ctx, began, req, d, err)
	return err
}

// decide is takeInto of a Request that somebody can be told of.
func (l *Limiter) decide(ctx context.Context, req *Request, d *Decision) error {
	mode := l.Mode()
	if mode == ModeOff {
		d.Allowed, d.Reason = true, ReasonOff
		return nil
	}
	req.Key = boundKey(req.Key)
	taken, err := l.store.Take(ctx, *req)
	if err != nil {
		return err
	}
	*d = taken
	d.takenFrom(req.Key)
	if mode == ModeShadow && (!d.Allowed || req.AtMost && d.Granted < req.Cost) {
		d.Allowed, d.Reason = true, ReasonShadow
	}
	return nil
}

package slidingwindow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"github.com/sony/gobreaker/v2"
)

// FailurePolicy is what a [GuardedStore] does with a call that its store cannot decide.
type FailurePolicy string

const (
	// FailClosed gives the error, which matches [ErrStoreUnavailable]. The call is not
	// decided: echomw answers 503.
	FailClosed FailurePolicy = "closed"

	// FailOpen allows the call, with [ReasonFailOpen] and nothing counted.
	FailOpen FailurePolicy = "open"

	// FallBack lets another store decide, with [ReasonFallback].
	FallBack FailurePolicy = "fallback"
)

// GuardConfig has the settings of a [GuardedStore]. The zero value is valid.
type GuardConfig struct {
	// OnFailure is what becomes of a call that the store cannot decide. "" stands for the
	// default. Defaults to FailClosed.
	OnFailure FailurePolicy

	// Fallback decides in the store's place: a memory.Store of this process, or a
	// [RedisStore] over another server; no GuardedStore. It is for FallBack, which
	// requires it, and an error with another policy.
	Fallback Store

	// Instances is how many processes fall back at the same time, 1 or more. Each gives
	// an equal share of every Max, rounded down, so that together they allow no more than
	// one store would. What is more than a share is refused, so a Max below Instances refuses
	// all. It is for FallBack, and an error with another policy. 0 stands for the default, a
	// negative value is an error. Defaults to 1: each process gives the full Max.
	Instances int

	// Logger gets a record when the store becomes unavailable (Warn) and when it is
	// available again (Info), once each. nil stands for slog.Default() at that time.
	Logger *slog.Logger
}

// GuardedStore is a [Store] that says what happens while another Store is unavailable, and
// keeps an outage from costing each call the store's timeout. Its methods are safe for
// concurrent use.
//
// # When the store is unavailable
//
// It is when five calls in a row have failed with [ErrStoreUnavailable], or have waited for
// 50ms or more when their context ended, and none has succeeded for half a second: while one
// node of a Cluster is away, the others are asked. From then on the store is not asked: every
// call is answered at once by the [FailurePolicy]. Twice a second one call is let through to see
// whether the store is back; with that call's success, it is. What fails before the store counts
// as unavailable is answered by the policy, too. Errors of one call alone, such as
// [ErrForeignData] and that of a context, are given as they are, by every policy.
//
// # What an outage allows
//
// With FallBack the fallback knows nothing of what was counted before the outage, and the
// store nothing of what the fallback counted. So in an outage each key has, in any window, the
// Max of the fallback in each process: up to Max/Instances per process, hence Max in all if
// Instances tells their number, and Max for each process if it does not. In a window in which
// an outage begins or ends, a key may have used up Max with the store besides. With FailOpen
// nothing is limited.
//
// # Refund and Reset
//
// Refund goes to the store that took the units. Reset resets in both. While the store is
// unavailable, what it should have given back or reset fails with ErrStoreUnavailable, at once,
// whatever the policy: no other store can do it. The fallback is reset nevertheless.
type GuardedStore struct {
	store     Store
	onFailure FailurePolicy
	fallback  Store
	instances int64
	logger    *slog.Logger

	breaker  *gobreaker.CircuitBreaker[Decision]
	failed   atomic.Pointer[failure] // the last one
	answered atomic.Int64            // when the store last did, ns since started; 0 if never
	outage   atomic.Pointer[outage]  // nil while the store is available

	news   atomic.Bool // something is untold
	mu     sync.Mutex
	untold []func(*slog.Logger)
}

type failure struct{ err error }

type outage struct {
	began time.Time
	reply string // what Redis answers instead, in a word
	err   error  // of the calls that are not let through
}

var _ Store = (*GuardedStore)(nil)

const (
	failuresInARow = 5
	probeEvery     = 500 * time.Millisecond

	// With so long no answer at all, the whole store is away, and not a part of it. More than
	// a call usually waits: while all callers wait for one node, none is answered by another.
	silence = 500 * time.Millisecond

	// A call that has waited that long for nothing tells of the store, and not of the
	// haste of its caller. What clients choose, such as the deadline of a remote call, must not
	// look like an outage.
	unanswered = 50 * time.Millisecond
)

// NewGuardedStore returns a store that guards another one. Its errors match
// [ErrInvalidConfig].
func NewGuardedStore(store Store, config GuardConfig) (*GuardedStore, error) {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrInvalidConfig}, args...)...))
	}
	if isNil(store) {
		fault("store is nil; make one with NewRedisStore or memory.New")
	}
	if config.OnFailure == "" {
		config.OnFailure = FailClosed
	}
	switch config.OnFailure {
	case FallBack:
		if isNil(config.Fallback) {
			fault("GuardConfig.Fallback is nil; allowed: a store, such as one of memory.New, as OnFailure is %q", config.OnFailure)
		}
	case FailClosed, FailOpen:
		if config.Fallback != nil {
			fault("GuardConfig.Fallback is set; allowed: only with OnFailure %q, and it is %q", FallBack, config.OnFailure)
		}
		if config.Instances > 0 {
			fault("GuardConfig.Instances is %d; allowed: only with OnFailure %q, and it is %q", config.Instances, FallBack, config.OnFailure)
		}
	default:
		fault("GuardConfig.OnFailure is %s; allowed: %q, %q or %q", quoteShort(string(config.OnFailure)), FailClosed, FailOpen, FallBack)
	}
	// A refund would not find its way.
	if _, guarded := store.(*GuardedStore); guarded {
		fault("store is a GuardedStore; allowed: a store that decides itself")
	}
	if _, guarded := config.Fallback.(*GuardedStore); guarded {
		fault("GuardConfig.Fallback is a GuardedStore; allowed: a store that decides itself")
	}
	if config.Instances < 0 {
		fault("GuardConfig.Instances is %d; allowed: 1 or more processes (0 stands for the default of 1)", config.Instances)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	g := &GuardedStore{
		store:     store,
		onFailure: config.OnFailure,
		fallback:  config.Fallback,
		instances: int64(max(1, config.Instances)),
		logger:    config.Logger,
	}
	g.breaker = gobreaker.NewCircuitBreaker[Decision](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     probeEvery,
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			answered := g.answered.Load()
			return counts.ConsecutiveFailures >= failuresInARow &&
				(answered == 0 || time.Since(started)-time.Duration(answered) >= silence)
		},
		IsSuccessful:  func(err error) bool { return err == nil || errors.Is(err, ErrForeignData) },
		IsExcluded:    saysNothing,
		OnStateChange: func(_ string, _, to gobreaker.State) { g.changed(to) },
	})
	return g, nil
}

// Available tells whether the store is asked for decisions, for metrics. After an outage it is
// false until a call has found the store back: a health check that keeps calls away while it is
// false would do so for ever.
func (g *GuardedStore) Available() bool { return g.outage.Load() == nil }

// Take implements [Store].
func (g *GuardedStore) Take(ctx context.Context, req Request) (Decision, error) {
	d, err := g.guard(ctx, func() (Decision, error) {
		d, err := g.store.Take(ctx, req)
		if err != nil || d.Reason != ReasonCached || g.Available() {
			return d, err
		}
		// A look whether the store is back has to reach it.
		ask := req
		ask.Peek = true
		if asked, err := g.store.Take(ctx, ask); err != nil || !asked.Allowed {
			return asked, err
		}
		return g.store.Take(ctx, req)
	})
	switch {
	case err == nil, !errors.Is(err, ErrStoreUnavailable):
		return d, err
	case ctx.Err() != nil:
		return Decision{}, ContextEnded(ctx)
	case g.onFailure == FailOpen:
		return Decision{Allowed: true, Reason: ReasonFailOpen}, nil
	case g.onFailure == FallBack:
		if d, err = g.fallback.Take(ctx, g.share(req)); err != nil {
			return Decision{}, err
		}
		d.Reason = ReasonFallback
		return d, nil
	default:
		return Decision{}, err
	}
}

// Refund implements [Store].
func (g *GuardedStore) Refund(ctx context.Context, key string, d Decision) error {
	switch {
	case !slices.ContainsFunc(d.Statuses(), func(s Status) bool { return s.Receipt != 0 }):
		return nil // whom to ask is not known, and need not be
	case d.Reason != ReasonFallback:
		_, err := g.guard(ctx, func() (Decision, error) { return Decision{}, g.store.Refund(ctx, key, d) })
		return err
	case g.fallback != nil:
		return g.fallback.Refund(ctx, key, d)
	default:
		return nil // another store took the units, which this one does not know
	}
}

// Reset implements [Store].
func (g *GuardedStore) Reset(ctx context.Context, key string, limits []Limit) error {
	var inFallback error
	if g.fallback != nil {
		inFallback = g.fallback.Reset(ctx, key, limits)
	}
	_, err := g.guard(ctx, func() (Decision, error) { return Decision{}, g.store.Reset(ctx, key, limits) })
	return errors.Join(err, inFallback)
}

var (
	// errNoEvidence is in the place of what says nothing about the store.
	errNoEvidence = errors.New("slidingwindow: no evidence")

	// errUnanswered is in the place of the error of a caller's context.
	errUnanswered = fmt.Errorf("%w: callers waited for it for %v or more, until their contexts ended", ErrStoreUnavailable, unanswered)
)

func saysNothing(err error) bool {
	return err != nil && !errors.Is(err, ErrStoreUnavailable) && !errors.Is(err, ErrForeignData)
}

// guard asks the store, if it is not known to be unavailable.
func (g *GuardedStore) guard(ctx context.Context, ask func() (Decision, error)) (Decision, error) {
	if ctx.Err() != nil {
		return Decision{}, ContextEnded(ctx)
	}
	var ended error // that of the caller's context
	began := time.Now()
	d, err := g.breaker.Execute(func() (Decision, error) {
		d, err := ask()
		switch {
		case err == nil && d.Reason == ReasonCached:
			return d, errNoEvidence
		case err != nil && ctx.Err() != nil && (time.Since(began) >= unanswered || !g.Available()):
			ended, err = err, errUnanswered
		}
		switch {
		case err == nil:
			g.answered.Store(int64(time.Since(started)))
		case errors.Is(err, ErrStoreUnavailable):
			g.failed.Store(&failure{err})
		}
		return d, err
	})
	g.tell()
	switch {
	case err == nil:
		return d, nil
	case ended != nil:
		return Decision{}, ended
	case errors.Is(err, errNoEvidence):
		return d, nil
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		if out := g.outage.Load(); out != nil {
			return Decision{}, out.err
		}
		return Decision{}, ErrStoreUnavailable // it has come back at this moment
	}
	return Decision{}, err
}

// changed notes the beginning and the end of an outage, and what a look in between has met.
// The breaker's lock is held.
func (g *GuardedStore) changed(to gobreaker.State) {
	before := g.outage.Load()
	switch to {
	case gobreaker.StateOpen:
		err := g.failed.Load().err
		now := &outage{began: time.Now(), reply: replyWord(err), err: fmt.Errorf("%w; it is asked every %v only, until it answers", err, probeEvery)}
		switch {
		case before == nil:
			g.note(slog.LevelWarn, "slidingwindow: the store is unavailable", "on_failure", g.onFailure, "error", err)
		case now.reply != before.reply: // such as a login that is refused since a restart
			g.note(slog.LevelError, "slidingwindow: the store is unavailable for another reason", "on_failure", g.onFailure, "error", err)
		}
		if before != nil {
			now.began = before.began
		}
		g.outage.Store(now)
	case gobreaker.StateClosed:
		g.outage.Store(nil)
		g.note(slog.LevelInfo, "slidingwindow: the store is available again", "unavailable_for", time.Since(before.began).Round(time.Millisecond))
	}
}

// note keeps a record until the breaker's lock is free: who handles it may ask for a decision.
func (g *GuardedStore) note(level slog.Level, message string, attributes ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.untold = append(g.untold, func(logger *slog.Logger) { logger.Log(context.Background(), level, message, attributes...) })
	g.news.Store(true)
}

// tell logs what is new.
func (g *GuardedStore) tell() {
	if !g.news.Load() {
		return
	}
	g.mu.Lock()
	untold := g.untold
	g.untold = nil
	g.news.Store(false)
	g.mu.Unlock()
	logger := g.logger
	if logger == nil {
		logger = slog.Default()
	}
	for _, record := range untold {
		record(logger)
	}
}

// replyWord is the first word of the error that Redis answered with, "" if it did not.
func replyWord(err error) string {
	var reply *rueidis.RedisError
	var call callError
	text := ""
	switch {
	case errors.As(err, &reply):
		text = reply.Error()
	case errors.As(err, &call):
		text = call.Error()
	}
	word, _, _ := strings.Cut(text, " ")
	return word
}

// share is what this process asks of the fallback.
func (g *GuardedStore) share(req Request) Request {
	if g.instances == 1 {
		return req
	}
	limits := make([]Limit, len(req.Limits))
	for i, limit := range req.Limits {
		limits[i] = limit
		limits[i].Max /= g.instances
	}
	req.Limits = limits
	return req
}

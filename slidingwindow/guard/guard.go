// Package guard says what becomes of calls while a store of package slidingwindow is
// unavailable, and keeps an outage from costing each call the store's timeout.
//
// It works over any [slidingwindow.Store].
package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Store is a [slidingwindow.Store] that guards another one. Make it with [New]. Its methods are
// safe for concurrent use.
//
// # What is an outage
//
// Only a take that needs a write shows whether the store can decide: a Redis that takes no
// writes still peeks and refuses. So an outage begins when five takes in a row have failed with
// [slidingwindow.ErrStoreUnavailable], over half a second or more, and none was granted units
// in between. A take that waited for 50ms or more until its own context ended counts as
// failed. Peeks, refusals, Settle and Reset count for nothing, and neither does
// [slidingwindow.ErrCallRejected] (such as the NOPERM of one command): that is the error of one call.
//
// From then on the store is not asked: the [Policy] answers every call at once. These calls start a
// probe of the store in the background, at most twice a second. A probe is a take for the key of a
// call that failed, under a limit of the guard's own ("guard-probe", which Redis keeps for two
// seconds). When it is granted, the outage is over. So an outage costs callers no more than the
// first failures. Without calls, nothing finds out that the store is back.
//
// The policy also answers calls that fail before the outage has begun, or by ErrCallRejected. A
// rejected call that the policy answers is logged (Warn), at most once a minute. Every policy
// returns errors of one call alone, such as [slidingwindow.ErrForeignData] and that of a context.
//
// # Parts
//
// If the store has parts that fail separately, each is judged for itself: see
// [slidingwindow.Parted]. The parts of a [slidingwindow.RedisStore] are the nodes of its Cluster.
// While one node is away, the others decide calls for their keys.
//
// # What an outage allows
//
// With Fallback the fallback knows nothing of what was counted before the outage, and the
// store nothing of what the fallback counted. So in an outage each key has, in any window, up to
// Max/Instances in each process. That is Max in all if Instances is the number of processes, and
// Max for each process if Instances is not set. In a window in which an outage begins or ends, a
// key may also use up Max at the store. With Open nothing is limited.
//
// A caller of [slidingwindow.Limiter.Wait] waits for its turn, but not for the end of an outage.
// With Closed it gets the error, with Open it goes on at once, and with Fallback it waits in the
// fallback's line.
//
// # Settle and Reset
//
// Settle, and so a refund, goes to the store that took the units. The Reason of the Decision
// tells which store that is, also in another process. If a fallback in memory took them, no other
// process can settle them ([slidingwindow.ErrForeignDecision]). Reset resets in both stores.
// While the store is unavailable, its part of Settle and Reset fails at once with
// ErrStoreUnavailable, whatever the policy: no other store can do it. Reset still resets the
// fallback.
type Store struct {
	store  slidingwindow.Store
	config Config

	parted slidingwindow.Parted // nil if the store fails as a whole
	parts  atomic.Pointer[map[string]*breaker]
	adding sync.Mutex // a part

	made      time.Time
	outages   atomic.Int64 // under way
	nextProbe atomic.Int64 // ns since made

	records
}

var _ slidingwindow.Store = (*Store)(nil)

const (
	probeEvery   = 500 * time.Millisecond
	probeTimeout = 5 * time.Second // for a store that has no timeout of its own

	// A call that has waited this long without an answer counts as a failure of the store. A shorter
	// wait may only be the caller's choice: what clients choose, such as the deadline of a remote
	// call, must not look like an outage.
	unanswered = 50 * time.Millisecond

	// Parts beyond this number are judged together.
	maxParts = 1000
)

// probeLimits are of a log that nobody else has: a take always fits, and needs a write.
var probeLimits = []slidingwindow.Limit{{Name: "guard-probe", Max: 1_000_000_000, Window: time.Second}}

// New returns a store that guards another one. Neither store nor the fallback may be a guarded
// store, or hold one. Its errors match [slidingwindow.ErrInvalidConfig].
func New(store slidingwindow.Store, config Config) (*Store, error) {
	if config.OnFailure == "" {
		config.OnFailure = Closed
	}
	if err := config.check(store); err != nil {
		return nil, err
	}
	config.Instances = max(1, config.Instances)
	g := &Store{store: store, config: config, made: time.Now(), records: records{logger: config.Logger}}
	g.parted, _ = store.(slidingwindow.Parted)
	g.parts.Store(&map[string]*breaker{})
	return g, nil
}

// Policy returns what becomes of a call that the store cannot decide.
func (g *Store) Policy() Policy { return g.config.OnFailure }

// Available reports whether no part of the store is in an outage. It is for metrics. After an outage it
// is false until a call has started a probe that succeeds. So a health check must not keep calls away
// while it is false: it would stay false for ever.
func (g *Store) Available() bool { return g.outages.Load() == 0 }

// Take implements [slidingwindow.Store].
func (g *Store) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	if g.config.Instances > 1 {
		g.warnOfShares(req.Limits, int64(g.config.Instances))
	}
	d, err := g.ask(ctx, req)
	switch {
	case err == nil, !errors.Is(err, slidingwindow.ErrStoreUnavailable):
		return d, err
	case ctx.Err() != nil:
		return slidingwindow.Decision{}, slidingwindow.ContextEnded(ctx)
	case g.config.OnFailure == Closed:
		return slidingwindow.Decision{}, err
	}
	if errors.Is(err, slidingwindow.ErrCallRejected) {
		g.tellRejected(g.config.OnFailure, err) // the caller is not told
	}
	if g.config.OnFailure == Open {
		return slidingwindow.Decision{Allowed: true, Reason: slidingwindow.ReasonFailOpen}, nil
	}
	if d, err = g.config.Fallback.Take(ctx, g.share(req)); err != nil {
		return slidingwindow.Decision{}, err
	}
	d.Reason = slidingwindow.ReasonFallback
	return d, nil
}

// Settle implements [slidingwindow.Store].
func (g *Store) Settle(ctx context.Context, key string, d slidingwindow.Decision, units []int64) error {
	switch {
	case !slices.ContainsFunc(d.Statuses(), func(s slidingwindow.Status) bool { return s.Receipt != 0 }):
		return nil // no units were taken, so there is no store to ask
	case d.Reason != slidingwindow.ReasonFallback:
		if _, err := g.way(ctx, key); err != nil {
			return err
		}
		return g.store.Settle(ctx, key, d, units)
	case g.config.Fallback != nil:
		return g.config.Fallback.Settle(ctx, key, d, units)
	default:
		return fmt.Errorf("%w: it was taken from a fallback; allowed: a Decision of the guarded store, as OnFailure is %q",
			slidingwindow.ErrForeignDecision, g.config.OnFailure)
	}
}

// Reset implements [slidingwindow.Store].
func (g *Store) Reset(ctx context.Context, key string, limits []slidingwindow.Limit) error {
	var inFallback error
	if g.config.Fallback != nil {
		inFallback = g.config.Fallback.Reset(ctx, key, limits)
	}
	_, err := g.way(ctx, key)
	if err == nil {
		err = g.store.Reset(ctx, key, limits)
	}
	return errors.Join(err, inFallback)
}

// ask asks the store, unless the key's part of it is in an outage.
func (g *Store) ask(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	b, err := g.way(ctx, req.Key)
	if err != nil {
		return slidingwindow.Decision{}, err
	}
	began := time.Now()
	d, err := g.store.Take(ctx, req)
	switch {
	case req.Peek, errors.Is(err, slidingwindow.ErrCallRejected):
	case err == nil:
		if d.Granted > 0 {
			b.granted()
		}
	case errors.Is(err, slidingwindow.ErrStoreUnavailable):
		g.failed(b, req.Key, err)
	case endedByContext(err) && time.Since(began) >= unanswered:
		g.failed(b, req.Key, errUnanswered)
	}
	return d, err
}

// way returns the breaker of the key's part of the store. The error says that the store must
// not be asked now.
func (g *Store) way(ctx context.Context, key string) (*breaker, error) {
	if ctx.Err() != nil {
		return nil, slidingwindow.ContextEnded(ctx)
	}
	b := g.breakerOf(key)
	if g.outages.Load() > 0 {
		g.probe()
	}
	if out := b.out(); out != nil {
		return nil, fmt.Errorf("%w; it is asked every %v only, until it answers", out.err, probeEvery)
	}
	return b, nil
}

func (g *Store) breakerOf(key string) *breaker {
	part := ""
	if g.parted != nil {
		part = g.parted.Part(key)
	}
	if b := (*g.parts.Load())[part]; b != nil {
		return b
	}
	return g.add(part)
}

// add makes the breaker of a part that is new.
func (g *Store) add(part string) *breaker {
	g.adding.Lock()
	defer g.adding.Unlock()
	parts := *g.parts.Load()
	if len(parts) >= maxParts {
		part = ""
	}
	if b := parts[part]; b != nil {
		return b
	}
	added := make(map[string]*breaker, len(parts)+1)
	for name, b := range parts {
		added[name] = b
	}
	added[part] = &breaker{part: part}
	g.parts.Store(&added)
	return added[part]
}

// failed notes a take that the store could not decide.
func (g *Store) failed(b *breaker, key string, err error) {
	if begun := b.failed(key, err); begun != nil {
		g.tellBegin(g.config.OnFailure, b.part, err)
		g.outages.Add(1) // after the record: if no other part is out, probes start only now
	}
}

// probe starts a probe of each part that is in an outage, if it is time for one.
func (g *Store) probe() {
	now, next := time.Since(g.made), g.nextProbe.Load()
	if now < time.Duration(next) || !g.nextProbe.CompareAndSwap(next, int64(now+probeEvery)) {
		return
	}
	for _, b := range *g.parts.Load() {
		if out := b.startProbe(); out != nil {
			go g.look(b, out)
		}
	}
}

// look probes a part of the store.
func (g *Store) look(b *breaker, out *outage) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	d, err := g.store.Take(ctx, slidingwindow.Request{Key: out.key, Limits: probeLimits, Cost: 1})
	switch {
	case errors.Is(err, slidingwindow.ErrCallRejected), errors.Is(err, slidingwindow.ErrForeignData):
		err = nil // this probe would never be granted: let calls find out
	case endedByContext(err) && !errors.Is(err, slidingwindow.ErrStoreUnavailable):
		err = errUnanswered
	case err == nil && d.Granted == 0:
		err = out.err
	}
	news := b.endProbe(err)
	switch {
	case err == nil:
		g.tellEnd(b.part, time.Since(out.began))
		g.outages.Add(-1)
	case news:
		g.tellReason(g.config.OnFailure, b.part, err)
	}
}

// share returns the request for the fallback, with the share of this process of every Max.
func (g *Store) share(req slidingwindow.Request) slidingwindow.Request {
	if g.config.Instances == 1 {
		return req
	}
	limits := slices.Clone(req.Limits)
	for i := range limits {
		limits[i].Max /= int64(g.config.Instances)
	}
	req.Limits = limits
	return req
}

// errUnanswered is the error of an outage that showed only in callers whose contexts ended.
var errUnanswered = fmt.Errorf("%w: callers waited for it for %v or more, until their contexts ended", slidingwindow.ErrStoreUnavailable, unanswered)

func endedByContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

package slidingwindow

import (
	"context"
	"time"
)

// Store keeps the logs and decides. [RedisStore] is one, the Store
// of package memory another; a decorator over one of them can add a failure policy, metrics or
// the like. The [Limiter] has validated what it passes. A Store must be safe for
// concurrent use. The slices of a Request must not be changed by anybody, even after the call: a
// Store may still read them for a caller that left.
type Store interface {
	// Take decides a Request atomically: it takes the cost from the logs of all
	// limits, or, when one of them refuses, changes nothing. With Request.Peek it
	// never changes anything. It decides on the store's own clock and makes its
	// Decision with [NewDecision]. If it took units, it sets Decision.Store to its name: no
	// other store has that, unless it can settle what this one took. A refusal is not an
	// error. A Store that cannot do what a field of the Request asks for returns an error
	// that matches [errors.ErrUnsupported]. A decorator keeps the Store and the Receipts.
	//
	// With Request.Wait it must not leave units behind that its caller does not hear of: once it
	// has begun to decide, it gives its Decision although ctx ends. Its own timeout bounds that.
	Take(ctx context.Context, req Request) (Decision, error)

	// Settle replaces what a call of the key took: of the i-th limit of d.Statuses the units[i]
	// take the place of its Granted, at the same time; nil gives all back. They may be more than
	// Max. It does nothing to a limit without a Receipt, or with as many units as before, nor where
	// the call's units are no longer there, because they were settled before, have left the
	// window, or were reset; but with a Limit.Resolution a second time may take the units of other
	// calls. A decorator may settle again what was settled, with a Decision whose Granted is what
	// the call has since.
	//
	// d may come from another process, by [Decision.MarshalText]. If it took units and its
	// Store is not the name of this store, the error is [ErrForeignDecision], and nothing is
	// changed. A place ahead of the clock (d.Delay) must not be settled twice by one call of
	// Settle: it may be another's by then.
	Settle(ctx context.Context, key string, d Decision, units []int64) error

	// Reset forgets what the key has used of the limits, for every process that
	// shares the store. To reset an unknown key is not an error.
	Reset(ctx context.Context, key string, limits []Limit) error
}

// Parted is a [Store] of parts that fail separately, such as the nodes of a Cluster. What
// guards a store judges each part by its own calls; see package guard. A store that
// embeds a Parted one is Parted, too.
type Parted interface {
	// Part names the part that decides calls of the key, "" if that is not known or there is
	// only one. It is asked with each call, so it must not wait for anything. The name is
	// logged. It should outlive an outage: one that ends under another name is found out
	// late.
	Part(key string) string
}

// LimitChecker is a [Store] that not every limit can be used with. [New] returns its error.
type LimitChecker interface {
	// CheckLimits says why these valid limits cannot be used with the store, if so.
	CheckLimits(limits []Limit) error
}

// Request is one question to a [Store].
type Request struct {
	// Key is whom to limit: 1 to 135 bytes, any of them. Longer keys of callers
	// were replaced by a hash.
	Key string

	// Limits has one or more valid limits with names that differ.
	Limits []Limit

	// Cost is how many units to take of each limit: 1 or more. A Limiter asks for no more than the Max of
	// any limit, unless that is 0; another caller of the Store may ask for more. A limit refuses a Cost above its Max,
	// with its Window as RetryAfter.
	Cost int64

	// Costs is nil, or how many units to take of each of the Limits, in their order and in place
	// of Cost: 0 or more. A limit with a cost of 0 refuses nothing and gets no entry in its log.
	Costs []int64

	// Peek asks what Take would answer without taking anything. Granted is then 0,
	// and Remaining does not count the Cost.
	Peek bool

	// AtMost takes as many units of the Cost, at most 4,294,967,295, as every limit has left, the same number of each. The
	// call is refused if that is none, with the RetryAfter of one unit. It is not set together
	// with Costs or Peek.
	AtMost bool

	// Wait takes the units for the earliest time at which they fit into every limit, and that is
	// not before that of any unit that a limit counts: nobody overtakes. Decision.Delay is how far
	// ahead that is. If it is more than MaxWait, the call is refused, and RetryAfter tells how far.
	// The units count at once, and leave a Window after that time. Wait is not set together with Peek or
	// AtMost.
	Wait bool

	// MaxWait is 0 or more.
	MaxWait time.Duration

	// Ahead takes units to be used at any time from when the caller asked until so long after it, on
	// a clock that nobody sets. They count at once, for everybody, and leave a Window after the
	// end of that time. Settle gives back what was not used. It is 0 or more, and not set together with Peek or Wait.
	Ahead time.Duration
}

// CostOf returns how many units the request asks of its i-th limit.
func (r *Request) CostOf(i int) int64 {
	if r.Costs != nil {
		return r.Costs[i]
	}
	return r.Cost
}

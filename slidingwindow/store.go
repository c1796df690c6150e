package slidingwindow

import (
	"context"
	"time"
)

// Store keeps the logs and decides. [RedisStore] is one, and the Store of package memory is another.
// A decorator adds something to another Store, such as a failure policy (package guard), leases
// (package lease) or metrics. Package storetest tests that a Store keeps this contract, and its
// example is a complete Store.
//
// # What a Store is given
//
// The [Limiter] checks what it passes: see the fields of [Request]. Methods are called from many
// goroutines at the same time. Nobody may change a slice of a Request, neither during the call nor
// later, because a Store may go on reading it after its caller has left.
//
// # Errors
//
// A refusal is not an error. An error means that the Store made no decision. It matches one of these,
// by [errors.Is]:
//
//   - the error of ctx, if ctx ended first: return [ContextEnded]
//   - [ErrStoreUnavailable], if the Store cannot decide any call now
//   - [ErrStoreUnavailable] and [ErrCallRejected], if it cannot decide this call, but can decide others
//   - [ErrForeignData], if what is stored for this key is not a log
//   - [ErrForeignDecision], from Settle only
//   - [errors.ErrUnsupported], if the Store cannot do what a field of the Request asks for
//
// Methods that are called with a ctx that has ended do nothing and return ContextEnded.
//
// # What a decorator keeps
//
// A decorator passes each Request on as it is, unless its purpose is to change it. It returns the
// Decision with its Reason, its Store, its Delay and the Receipt of each Status. [NewDecision] sets
// the Receipts only, so copy the other fields if you make a Decision from changed statuses. It
// returns errors that still match.
//
// A decorator of a [Parted] or a [LimitChecker] must have the methods of these interfaces too. It gets
// them if it embeds the concrete type. If it embeds the interface Store, it must declare them.
type Store interface {
	// Take decides a Request atomically: either it takes the cost of every limit, or it changes nothing
	// because one of them refuses. With Request.Peek it never changes anything. It decides on the
	// Store's own clock, and makes its Decision with [NewDecision].
	//
	// If Take took units, it sets Decision.Store to the name of the Store, and a Receipt in the Status of
	// each limit from which it took some. Two Stores have the same name only if each can settle what
	// the other took.
	//
	// With Request.Wait, Take must not take units without telling its caller. Once it has begun to
	// decide, it returns its Decision even if ctx ends. A timeout of its own bounds that.
	Take(ctx context.Context, req Request) (Decision, error)

	// Settle replaces what a call took from the key. For the i-th limit of d.Statuses, units[i] replace
	// its Granted, at the same time in the log. A nil units gives all back. The units may pass Max.
	//
	// Settle changes nothing for a limit whose Receipt is 0, or whose units stay the same. Nor does it if
	// the units of the call are gone: they were settled before, have left the window, or were reset. So
	// a second Settle is safe, except for a limit with a Resolution, where it may take units of other
	// calls, and for a place ahead of the clock (d.Delay), which may be another call's by then.
	// A decorator may settle a call again with a Decision whose Granted is what the log now has of it.
	//
	// d may come from another process, through [Decision.MarshalText]. If it took units and d.Store is
	// not the name of this Store, Settle changes nothing and returns [ErrForeignDecision].
	Settle(ctx context.Context, key string, d Decision, units []int64) error

	// Reset forgets what the key has used of the limits, for every process that shares the Store. A key
	// that is not known is no error.
	Reset(ctx context.Context, key string, limits []Limit) error
}

// Parted is a [Store] with parts that fail separately, such as the nodes of a Cluster. Package guard
// judges each part by its own calls.
type Parted interface {
	// Part returns the name of the part that decides calls of the key. It returns "" if there is only one
	// part, or if the part is not known. It is called for every call, so it must not wait for anything.
	// The name is logged. A part should keep its name during an outage, or the end of the outage is
	// noticed late.
	Part(key string) string
}

// LimitChecker is a [Store] that cannot be used with some limits.
type LimitChecker interface {
	// CheckLimits returns an error if the limits, which are valid, cannot be used with the Store. [New]
	// and [Limiter.WithLimits] return it.
	CheckLimits(limits []Limit) error
}

// Request is one question to a [Store]. Its slices are shared: nobody may change them.
type Request struct {
	// Key is whom to limit: 1 to 135 bytes with any values. A [Limiter] has replaced a longer key by its
	// hash.
	Key string

	// Limits has one or more valid limits. Their names differ.
	Limits []Limit

	// Cost is how many units to take from each limit: 1 or more. A limit refuses a Cost above its Max,
	// with its Window as RetryAfter. A Limiter asks for that only if Max is 0.
	Cost int64

	// Costs is nil, or how many units to take from each of the Limits, in their order: 0 or more. It
	// then replaces Cost. A limit with a cost of 0 refuses nothing and logs nothing.
	Costs []int64

	// Peek asks for the answer without taking anything. Granted is then 0, and Remaining does not
	// subtract the Cost.
	Peek bool

	// AtMost takes as many units as every limit has left, at most Cost, and the same number from each.
	// If that is none, the call is refused, with the RetryAfter of one unit. Cost is then at most
	// 4,294,967,295. AtMost is never set together with Costs or Peek.
	AtMost bool

	// Wait takes the units for the earliest time at which they fit into every limit. That time is not
	// before the time of any unit that one of the limits counts, so that nobody overtakes. Decision.Delay
	// is how far ahead it is. If it is farther ahead than MaxWait, the call is refused, and RetryAfter is
	// that distance. The units count at once, and leave one Window after their time. Wait is never set
	// together with Peek or AtMost.
	Wait bool

	// MaxWait is the longest Delay for Wait: 0 or more.
	MaxWait time.Duration

	// Ahead takes units that the caller may use at any time until then: 0 or more after it asked, on a
	// clock that nobody sets. The units count at once, for everybody, and leave one Window after the end
	// of that time. Settle gives back those that were not used. Ahead is never set together with Peek or
	// Wait.
	Ahead time.Duration
}

// CostOf returns how many units the request asks from its i-th limit.
func (r *Request) CostOf(i int) int64 {
	if r.Costs != nil {
		return r.Costs[i]
	}
	return r.Cost
}

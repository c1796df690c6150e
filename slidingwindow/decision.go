package slidingwindow

import (
	"fmt"
	"slices"
	"time"
)

// Decision is the answer to one call.
//
// With one Limit of 100 a minute, of which 98 were used 20 seconds ago, AllowN of
// 1 gives {Allowed: true, Granted: 1, Remaining: 1, ReplenishAfter: 40s}, and AllowN of
// 3 gives {Allowed: false, Granted: 0, Remaining: 2, RetryAfter: 40s, ReplenishAfter: 40s}.
type Decision struct {
	// Allowed tells whether the call may go on. If so, every limit agreed.
	Allowed bool

	// Reason tells how the decision came about.
	Reason Reason

	// Granted is how many units this call took, and what [Limiter.Refund] gives back. It is the cost if
	// the store allowed the call, and less than that from [Limiter.AllowAtMost] if not all fitted. After
	// [Limiter.AllowCost] it is what the call took from Limit; see [Status] for the others.
	//
	// It is 0 if the call took nothing: it was refused, it was a Peek, or it may go on although nothing
	// was taken, because the limiter is off or in shadow mode or because the guard failed open.
	Granted int64

	// Store is the name of the store that took Granted and that can settle it: "redis:" and the Prefix
	// for a [RedisStore], "memory:" and a random number for a memory store. It is "" if nothing was taken.
	Store string

	// Limit is the binding limit. Remaining, RetryAfter and ReplenishAfter belong to it. If limits
	// refused, it is the one of them with the longest RetryAfter. Otherwise it is the one with the
	// least Remaining; a limit with a cost of 0 binds only if all limits have that.
	Limit Limit

	// Remaining is how many units are left after this call: 0 or more. A call of several units can be
	// refused although some remain.
	Remaining int64

	// Delay is how long the caller of [Limiter.Reserve] must wait before it acts: its units are taken for
	// that time. 0 means now. It is 0 from all other methods.
	Delay time.Duration

	// RetryAfter is 0 if the limits allow the call. Otherwise it is how long until the same cost fits
	// into every limit, if nothing else uses the key. It is exact: a call just before is refused. A limit
	// with a Max of 0 gives its Window, although no wait helps. From [Limiter.Reserve] it is how far
	// ahead the place is that the call would have got.
	RetryAfter time.Duration

	// ReplenishAfter is how long until the oldest counted hit leaves the window. Remaining grows then. It
	// is 0 if nothing is counted.
	ReplenishAfter time.Duration

	// statuses is nil if there is one limit: the Decision itself has its status. So a decision on one
	// limit allocates nothing.
	statuses []Status

	receipt int64  // that of the only status
	taken   int64  // what Granted was when the call returned
	keyHash uint32 // of the key that Granted was taken from
}

// Reason tells how a [Decision] came about. It is "" in the zero Decision, which decides nothing.
type Reason string

// The reasons that a [Limiter], the stores and the packages over them give. Later versions may have
// more: a switch over them needs a default.
const (
	ReasonAllowed  Reason = "allowed"   // the store allowed the call, and counted it unless it was a peek
	ReasonRefused  Reason = "refused"   // the store refused the call
	ReasonCached   Reason = "cached"    // refused without asking Redis, which would refuse it: see [RedisStore]
	ReasonFallback Reason = "fallback"  // another store decided, because the store could not
	ReasonFailOpen Reason = "fail-open" // allowed uncounted, because no store could decide
	ReasonShadow   Reason = "shadow"    // allowed by [ModeShadow]; would have been refused
	ReasonOff      Reason = "off"       // allowed uncounted by [ModeOff]
)

// Status tells where one limit stands after a decision. Its fields mean what they mean in [Decision],
// for this limit alone.
type Status struct {
	Limit          Limit
	Granted        int64
	Remaining      int64
	RetryAfter     time.Duration // 0 when this limit did not refuse
	ReplenishAfter time.Duration

	// Receipt identifies the units that were taken, for [Store.Settle]. It is 0 if none were taken. Only
	// the store that set it knows what it means.
	Receipt int64
}

// NewDecision makes the Decision of a [Store]. statuses has the status of each limit, in the order of
// the request. granted is how many units were taken from every limit. It is 0 if nothing was taken, or
// if Status.Granted tells it for each limit. The call is allowed if no status has a RetryAfter.
//
// NewDecision copies statuses. With one status it allocates nothing.
func NewDecision(granted int64, statuses ...Status) (d Decision) {
	if len(statuses) == 0 {
		return d
	}
	binding := &statuses[0]
	for i := range statuses {
		if statuses[i].tighterThan(binding) {
			binding = &statuses[i]
		}
	}
	binding.decide(&d, granted)
	if len(statuses) > 1 {
		d.receipt = 0
		d.statuses = slices.Clone(statuses)
		for i := range d.statuses {
			d.statuses[i].Granted = max(granted, d.statuses[i].Granted)
		}
	}
	return d
}

// Statuses returns where each of the limits stands, in the order of the limiter's limits, or nil if no
// store was asked. The slice is the caller's own.
func (d Decision) Statuses() []Status { return d.AppendStatuses(nil) }

// AppendStatuses appends what Statuses returns to a slice and returns the longer one. It allocates
// nothing if there is room.
func (d Decision) AppendStatuses(to []Status) []Status {
	if d.statuses != nil {
		return append(to, d.statuses...)
	}
	if d.Limit == (Limit{}) {
		return to
	}
	return append(to, Status{
		Limit: d.Limit, Granted: d.Granted, Remaining: d.Remaining,
		RetryAfter: d.RetryAfter, ReplenishAfter: d.ReplenishAfter, Receipt: d.receipt,
	})
}

// decide makes d, which is zero, the Decision of a limiter that has this limit only.
func (s *Status) decide(d *Decision, granted int64) {
	d.Allowed, d.Reason = s.RetryAfter == 0, ReasonAllowed
	if !d.Allowed {
		d.Reason = ReasonRefused
	}
	d.Granted = max(granted, s.Granted)
	d.Limit = s.Limit
	d.Remaining = s.Remaining
	d.RetryAfter = s.RetryAfter
	d.ReplenishAfter = s.ReplenishAfter
	d.receipt = s.Receipt
}

// setReceipt replaces the receipt of one limit.
func (d *Decision) setReceipt(limit int, receipt int64) {
	if d.statuses != nil {
		d.statuses[limit].Receipt = receipt
		return
	}
	d.receipt = receipt
}

// takenFrom notes what was taken, and a hash of the key. It does not note the key itself, which would
// be in a log if somebody prints the Decision.
func (d *Decision) takenFrom(key string) {
	if d.Granted > 0 {
		d.keyHash, d.taken = hashKey(key), d.Granted
	}
}

func (d *Decision) isOf(key string) bool { return d.keyHash == hashKey(key) }

// asTaken returns an error if d no longer says what its call took.
func (d *Decision) asTaken() error {
	if d.Granted != d.taken {
		return fmt.Errorf("%w: Granted is %d; allowed: the %d that the call took", ErrDecisionChanged, d.Granted, d.taken)
	}
	return nil
}

func (s *Status) tighterThan(other *Status) bool {
	if s.RetryAfter != other.RetryAfter {
		return s.RetryAfter > other.RetryAfter
	}
	if took, others := s.Granted > 0, other.Granted > 0; took != others {
		return took
	}
	return s.Remaining < other.Remaining
}

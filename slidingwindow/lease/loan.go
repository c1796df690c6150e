package lease

import (
	"slices"
	"sync"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// loan is units that the store has lent to this process until some time. The lock of its shard
// guards it.
type loan struct {
	id     int64
	key    string
	store  string // the name of the one that granted it
	reason slidingwindow.Reason
	limits []slidingwindow.Limit

	granted  int64   // of each limit
	receipts []int64 // of the store, for each limit
	end      int64   // ns; nothing is taken from it later
	left     int64   // of each limit; once the loan has ended, what was not used
	calls    int64   // that took of it

	// What settled calls used of each limit beyond what they took, or below 0 if they used less. What
	// went back to left is not in it. nil: nothing.
	beyond []int64
	// Calls that were settled, by their number.
	settled map[int64]struct{}

	storing sync.Mutex // held while the store is told; lock it before the shard, never after
	stored  []int64    // what the store counts of each limit; nil: granted
}

// A receipt of a call is the number of its loan and its own.
const (
	callBits = 22
	maxCalls = 1 << callBits
	maxLoans = 1 << 40
)

func receiptOf(loan, call int64) int64     { return loan<<callBits | call }
func ofReceipt(r int64) (loan, call int64) { return r >> callBits, r & (maxCalls - 1) }

// newLoan is a loan that the store granted by a Decision.
func newLoan(p *pool, d slidingwindow.Decision, id, end int64) *loan {
	statuses := d.Statuses()
	l := &loan{id: id, key: p.key, store: d.Store, reason: d.Reason, limits: make([]slidingwindow.Limit, len(statuses)), receipts: make([]int64, len(statuses)), granted: d.Granted, left: d.Granted, end: end}
	for i := range statuses {
		l.limits[i], l.receipts[i] = statuses[i].Limit, statuses[i].Receipt // a fallback has limits of its own
	}
	return l
}

// live tells whether a call may take n units now.
func (l *loan) live(n, now int64) bool {
	return l != nil && l.left >= n && now <= l.end && l.calls < maxCalls-1
}

// take takes n units and returns the call's receipt.
func (l *loan) take(n int64) int64 {
	l.left -= n
	l.calls++
	return receiptOf(l.id, l.calls)
}

// settle replaces the n units that a call took; nil gives them back. Until the loan ends, calls can
// take them again. settle does nothing for a call that was settled before.
func (l *loan) settle(call, n int64, units []int64, now int64) {
	if _, before := l.settled[call]; before || call > l.calls {
		return
	}
	if l.settled == nil {
		l.settled = map[int64]struct{}{}
	}
	l.settled[call] = struct{}{}
	if units == nil {
		units = make([]int64, len(l.limits))
	}
	var less int64 // used of every limit, so it goes back to left
	if now <= l.end {
		less = max(n-slices.Max(units), -l.left)
		l.left += less
	}
	if l.beyond == nil {
		l.beyond = make([]int64, len(l.limits))
	}
	for i := range units {
		l.beyond[i] += units[i] - n + less
	}
}

// ends ends the loan, and reports whether the store must be told. What is left is given back.
func (l *loan) ends() (unused bool) {
	l.end = -1
	return l.left > 0 || l.beyond != nil
}

// used is what the calls used of each limit.
func (l *loan) used() []int64 {
	used := slices.Repeat([]int64{l.granted - l.left}, len(l.limits))
	for i := range l.beyond {
		used[i] = max(0, used[i]+l.beyond[i])
	}
	return used
}

// inStore returns the Decision to settle the loan by: it has what the store now counts.
func (l *loan) inStore() slidingwindow.Decision {
	statuses := make([]slidingwindow.Status, len(l.limits))
	for i := range statuses {
		statuses[i] = slidingwindow.Status{Limit: l.limits[i], Granted: l.granted, Receipt: l.receipts[i]}
		if l.stored != nil {
			statuses[i].Granted = l.stored[i]
		}
		if statuses[i].Granted == 0 {
			statuses[i].Receipt = 0 // it has no entry any more
		}
	}
	d := slidingwindow.NewDecision(0, statuses...)
	d.Store, d.Reason = l.store, l.reason
	return d
}

// told is what the store said of each limit, and when.
type told struct {
	statuses []slidingwindow.Status
	at       int64
}

// status returns the Status of the i-th limit for a call that took n units. left is what is left of
// the loans, and the last of them ends at end.
func (t *told) status(i int, n, left, end, now int64) slidingwindow.Status {
	s := t.statuses[i]
	s.RetryAfter, s.Receipt, s.Granted = 0, 0, n
	s.Remaining = min(s.Limit.Max, s.Remaining+left)
	if s.ReplenishAfter -= time.Duration(now - t.at); s.ReplenishAfter <= 0 {
		s.ReplenishAfter = time.Duration(end-now) + s.Limit.Window // when the units of the loan leave
	}
	return s
}

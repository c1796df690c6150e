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
	left     int64   // of each limit, 0 once it has ended
	calls    int64   // that took of it

	// What calls that were settled used of each limit beyond what they took, or less if it is below
	// 0, and does not count as left. Nil: nothing.
	beyond []int64
	// Calls that were settled, by their number.
	settled map[int64]struct{}

	storing sync.Mutex // while the store is told; it is not held with that of the shard already held
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

// settle replaces the n units that a call took; nil gives them back. Of a loan that goes on they can
// be taken again. It does nothing for a call that was settled before.
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
	var less int64 // than before, of every limit: more is left of the loan
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

// ends the loan, and tells whether the store must hear of it. What is left is given back.
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

// inStore is a Decision by which the store knows what it counts.
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

// status is that of a limit for a call that took n units, while so many are left of the loans,
// the last of which ends at that time.
func (t *told) status(i int, n, left, end, now int64) slidingwindow.Status {
	s := t.statuses[i]
	s.RetryAfter, s.Receipt, s.Granted = 0, 0, n
	s.Remaining = min(s.Limit.Max, s.Remaining+left)
	if s.ReplenishAfter -= time.Duration(now - t.at); s.ReplenishAfter <= 0 {
		s.ReplenishAfter = time.Duration(end-now) + s.Limit.Window // when the units of the loan leave
	}
	return s
}

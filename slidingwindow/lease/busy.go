package lease

import "sync/atomic"

// busyKeys tells busy keys from quiet ones, in little memory and without a lock. Keys that share
// a slot count against each other, as in the majority vote of Boyer and Moore. So the busiest key
// has the slot, and a crowd of quiet keys does not look busy. Calls for a busy key that was missed
// cost what they cost without leases.
type busyKeys [1 << 13]atomic.Uint64 // tag (16 bits), period (24), calls (24)

// A key with this many calls is busy: those of the current period, and half of the count of the
// period before.
const busyCalls = 16

// hit counts a call and tells whether its key is busy. Periods are as long as a lease.
func (b *busyKeys) hit(hash uint64, period int64) bool {
	const mask = 1<<24 - 1
	slot, now := &b[hash%uint64(len(b))], uint64(period)&mask //nolint:gosec // it is not negative
	for {
		old := slot.Load()
		tag, then, calls := old>>48, old>>24&mask, old&mask
		switch passed := (now - then) & mask; {
		case passed > 1:
			tag, then, calls = hash>>48, now, 1
		case tag == hash>>48 && passed == 1:
			then, calls = now, calls/2+1
		case tag == hash>>48:
			calls = min(calls+1, mask)
		case calls > 1:
			calls--
		default:
			tag, then, calls = hash>>48, now, 1
		}
		if slot.CompareAndSwap(old, tag<<48|then<<24|calls) {
			return tag == hash>>48 && calls >= busyCalls
		}
	}
}

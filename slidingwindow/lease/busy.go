package lease

import "sync/atomic"

// busyKeys tells busy keys from quiet ones, in little memory and without a lock. Keys that share
// a slot count against each other, as in the majority vote of Boyer and Moore: so the slot is that of
// the busiest, and no crowd of quiet keys looks busy. A key that is not found busy costs its calls
// what they cost without leases.
type busyKeys [1 << 13]atomic.Uint64 // tag (16 bits), period (24), calls (24)

// A key is busy when it had so many calls in the last period or two: half of those of the one
// before count.
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

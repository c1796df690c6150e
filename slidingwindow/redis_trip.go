package slidingwindow

import "time"

const (
	// Two batches keep Redis busy where the network takes no time: while it decides one,
	// the next one gathers.
	fewestBatches = 2

	// A longer way has room for more batches. One for each so much of a round trip keeps a
	// call from waiting much for those of others, and leaves something to share.
	perBatch = 250 * time.Microsecond

	// Each batch that is under way has a connection.
	mostBatches = 32

	// The network may change.
	tripMemory = time.Second
)

// batchesFor is how many batches may be under way where the network's round trip takes that
// long. Waiting for a batch to return pays while Redis or a CPU is what limits: then the next
// batch is larger. It does not while batches are only on their way.
func (l groupLimits) batchesFor(trip time.Duration) int {
	if l.batches > 0 {
		return l.batches
	}
	return min(fewestBatches+int(trip/perBatch), mostBatches)
}

// roundTrip remembers the fastest of some round trips. Those of lone calls tell of the network:
// others wait for Redis and for CPUs, too, and can only tell that it is faster.
type roundTrip struct {
	since        time.Time
	now, earlier time.Duration // the fastest since then, and in the time before
}

// note takes in a round trip.
func (r *roundTrip) note(began time.Time, took time.Duration, lone bool) {
	if lone && began.Sub(r.since) > tripMemory {
		r.since, r.earlier, r.now = began, r.now, took
	}
	if r.now == 0 || took < r.now { // at first any trip will do, as there may be no lone call
		r.now = took
	}
}

// fastest is 0 before the first round trip.
func (r *roundTrip) fastest() time.Duration {
	if r.earlier == 0 {
		return r.now
	}
	return min(r.now, r.earlier)
}

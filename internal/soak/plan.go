package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// settings are the flags.
type settings struct {
	length          time.Duration
	seed            uint64
	workers         int
	cluster, broken bool
}

const maxWindow = 2 * time.Second // of a limit: keys must be gone soon after the end

// planLimiters draws the limits of each limiter. Every limit has a name, and so logs, of
// its own.
func planLimiters(seed uint64) [][]slidingwindow.Limit {
	random := rand.New(rand.NewPCG(seed, 1))
	limit := func(limiter, i int, window time.Duration) slidingwindow.Limit {
		return slidingwindow.Limit{
			Name:   fmt.Sprintf("l%d_%d", limiter, i),
			Max:    3 + random.Int64N(60),
			Window: window,
		}
	}
	between := func(from, to time.Duration) time.Duration {
		return (from + time.Duration(random.Int64N(int64(to-from)))).Truncate(time.Millisecond)
	}
	var limiters [][]slidingwindow.Limit
	for i := range 6 {
		limits := []slidingwindow.Limit{limit(i, 0, between(50*time.Millisecond, maxWindow))}
		if i%2 == 1 {
			short := limit(i, 1, between(20*time.Millisecond, limits[0].Window))
			short.Max = 1 + (short.Max+2)/3
			limits = append(limits, short)
		}
		limiters = append(limiters, limits)
	}
	return limiters
}

// fault is one of those to inject.
type fault struct {
	kind   *faultKind
	gap    time.Duration // before it
	length time.Duration
	target int // which server or worker; modulo how many there are
}

// faults draws faults for ever. Each kind comes once before any comes twice.
type faults struct {
	random *rand.Rand
	deck   []int
}

func newFaults(seed uint64) *faults { return &faults{random: rand.New(rand.NewPCG(seed, 2))} }

func (f *faults) next() fault {
	if len(f.deck) == 0 {
		f.deck = f.random.Perm(len(faultKinds))
	}
	kind := &faultKinds[f.deck[0]]
	f.deck = f.deck[1:]
	spread := int64(kind.longest - kind.shortest)
	return fault{
		kind:   kind,
		gap:    200*time.Millisecond + time.Duration(f.random.Int64N(int64(2500*time.Millisecond))),
		length: kind.shortest + time.Duration(f.random.Int64N(spread+1)),
		target: f.random.IntN(1 << 16),
	}
}

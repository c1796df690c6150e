package naive

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Hit is units that were allowed at one time.
type Hit struct {
	At    time.Duration // since any fixed time
	Units int64
}

// CheckWindows fails t if more than limit.Max units are in any half-open interval of the length
// limit.Window. The hits must be in the order of their times.
func CheckWindows(t require.TestingT, hits []Hit, limit slidingwindow.Limit) {
	first, units := 0, int64(0)
	for _, h := range hits {
		units += h.Units
		for hits[first].At <= h.At-limit.Window {
			units -= hits[first].Units
			first++
		}
		require.LessOrEqual(t, units, limit.Max, "units in the window of %v that ends at %v", limit.Window, h.At)
	}
}

//go:build unix

package faults_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// A hit is units that Redis counted at some time between start and end.
type hit struct {
	start, end time.Time
	units      int64
}

// admitted are the hits of each key.
func (load *traffic) admitted() map[string][]hit {
	hits := map[string][]hit{}
	load.each(func(r *record) {
		if r.key != "" {
			hits[r.key] = append(hits[r.key], hit{r.start, r.end, r.units})
		}
	})
	return hits
}

// overAdmitted is how many units beyond Max the worst window certainly held, whenever in
// its call each hit was counted: those of the calls that began and ended in one window.
func overAdmitted(admitted map[string][]hit, limit slidingwindow.Limit) int64 {
	worst := int64(0)
	for _, hits := range admitted {
		slices.SortFunc(hits, func(a, b hit) int { return a.start.Compare(b.start) })
		for i, first := range hits {
			end := first.start.Add(limit.Window)
			units := int64(0)
			for _, h := range hits[i:] {
				if !h.start.Before(end) {
					break
				}
				if h.end.Before(end) {
					units += h.units
				}
			}
			worst = max(worst, units-limit.Max)
		}
	}
	return worst
}

func TestOverAdmittedCountsWhatIsCertain(t *testing.T) {
	t.Parallel()
	epoch := time.Now()
	at := func(start, end int) hit {
		return hit{epoch.Add(time.Duration(start) * time.Millisecond), epoch.Add(time.Duration(end) * time.Millisecond), 1}
	}
	limit := slidingwindow.Limit{Max: 2, Window: 10 * time.Millisecond}
	for name, test := range map[string]struct {
		hits []hit
		over int64
	}{
		"at the limit":       {[]hit{at(0, 1), at(5, 6)}, 0},
		"one too many":       {[]hit{at(0, 1), at(5, 6), at(8, 9)}, 1},
		"may be after":       {[]hit{at(0, 1), at(5, 6), at(8, 10)}, 0},
		"order of the calls": {[]hit{at(8, 9), at(5, 6), at(0, 1)}, 1},
		"long call between":  {[]hit{at(0, 1), at(2, 20), at(8, 9), at(9, 9)}, 1},
		"two windows":        {[]hit{at(0, 1), at(5, 6), at(12, 13), at(17, 18)}, 0},
	} {
		assert.Equal(t, test.over, overAdmitted(map[string][]hit{"k": test.hits}, limit), name)
	}
}

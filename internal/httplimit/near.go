package httplimit

import (
	"strconv"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// DefaultNearLimit is the share of Max from which on a key is near its limit.
const DefaultNearLimit = 0.8

func (config Config[C]) nearFaults() faults {
	if config.NearLimit > 0 && config.NearLimit <= 1 { // and so no NaN
		return nil
	}
	return faults{{
		Field: "Config.NearLimit", Given: strconv.FormatFloat(config.NearLimit, 'g', -1, 64),
		Allowed: "more than 0, and at most 1 (0 stands for the default of 0.8)",
	}}
}

// tellNear tells of each limit that the key of an allowed request has nearly used up.
func (g *gate[C]) tellNear(c C, t *turn) {
	d := &t.decision
	if len(t.plan.names) == 1 { // without a slice of Statuses
		g.tellIfNear(c, t, slidingwindow.Status{Limit: d.Limit, Granted: d.Granted, Remaining: d.Remaining, ReplenishAfter: d.ReplenishAfter})
		return
	}
	for _, status := range d.Statuses() {
		g.tellIfNear(c, t, status)
	}
}

func (g *gate[C]) tellIfNear(c C, t *turn, status slidingwindow.Status) {
	limit := &status.Limit
	used := limit.Max - status.Remaining
	if limit.Max == 0 || float64(used) < g.NearLimit*float64(limit.Max) {
		return
	}
	if g.near.begins(limit.Name+" "+t.key, time.Now(), limit.Window) {
		g.OnNearLimit(c, status)
	}
}

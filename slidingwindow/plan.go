package slidingwindow

import "strconv"

// plan is what the scripts are told of a limiter's limits with every call, made once.
type plan struct {
	limits []Limit
	args   []string // Max, Window (us) and time to live (ms) of each
}

func newPlan(limits []Limit) *plan {
	args := make([]string, 0, 3*len(limits))
	for _, limit := range limits {
		args = append(args,
			strconv.FormatInt(limit.Max, 10),
			strconv.FormatInt(limit.Window.Microseconds(), 10),
			strconv.FormatInt(timeToLive(limit.Window).Milliseconds(), 10))
	}
	return &plan{limits: limits, args: args}
}

// planned returns the plan of the request's limits. A decorator over a store may have
// changed them, or made the request itself.
func (r Request) planned() *plan {
	if p := r.plan; p != nil && len(p.limits) == len(r.Limits) && (len(p.limits) == 0 || &p.limits[0] == &r.Limits[0]) {
		return p
	}
	return newPlan(r.Limits)
}

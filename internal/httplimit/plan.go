package httplimit

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/hashicorp/golang-lru/v2"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// plan is what belongs to one set of limits.
type plan struct {
	limiter *slidingwindow.Limiter
	names   []string // of the limits
	headers headerWriter
}

// sharesLogs tells whether both count in one log of each key. Two stores count apart; a store
// whose type cannot be compared is not known to be the same.
func (p *plan) sharesLogs(other *plan) bool {
	store := p.limiter.Store()
	return reflect.ValueOf(store).Comparable() && store == other.limiter.Store() &&
		slices.ContainsFunc(p.names, func(name string) bool { return slices.Contains(other.names, name) })
}

// plans makes the plans of requests whose limits are known only at run time.
type plans struct {
	limiter *slidingwindow.Limiter
	headers Headers
	units   map[string]string // Config.Units
	own     *plan             // of the limiter's own limits
	recent  *lru.Cache[planKey, *plan]
}

// planKey is a set of limits as the key of a map. The plan of a larger set is made each time.
type planKey struct {
	length int
	limits [4]slidingwindow.Limit
}

const recentPlans = 1000

func newPlans(limiter *slidingwindow.Limiter, headers Headers, units map[string]string) (*plans, error) {
	recent, err := lru.New[planKey, *plan](recentPlans)
	if err != nil {
		return nil, err
	}
	p := &plans{limiter: limiter, headers: headers, units: units, recent: recent}
	p.own = p.of(limiter)
	return p, nil
}

func (p *plans) of(limiter *slidingwindow.Limiter) *plan {
	limits := limiter.Limits()
	names := make([]string, len(limits))
	for i := range limits {
		names[i] = limits[i].Name
	}
	return &plan{limiter: limiter, names: names, headers: newHeaderWriter(p.headers, limits, p.units)}
}

// choose returns the plan of the limits given; none stands for those of the limiter.
func (p *plans) choose(given []slidingwindow.Limit) (*plan, error) {
	if len(given) == 0 {
		return p.own, nil
	}
	key := planKey{length: len(given)}
	keep := len(given) <= len(key.limits)
	if keep {
		copy(key.limits[:], given)
		if known, ok := p.recent.Get(key); ok {
			return known, nil
		}
	}
	limiter, err := p.limiter.WithLimits(given...)
	if err != nil {
		return nil, fmt.Errorf("Config.Limits: %w", err)
	}
	made := p.of(limiter)
	if keep {
		p.recent.Add(key, made)
	}
	return made, nil
}

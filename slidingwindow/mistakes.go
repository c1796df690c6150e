package slidingwindow

import (
	"log/slog"
	"sync"
)

const (
	helpNames   = "https://github.com/seed-e8747a6b/ratelimit#name-your-limits"
	helpMaxZero = "https://github.com/seed-e8747a6b/ratelimit#a-max-of-0"

	// Names beyond that are not watched: a program may make them up.
	maxWatchedNames = 1000
)

// watcher is a store that remembers the names of the limits in use with it. A decorator
// of somebody else's hides it, and with it the warnings.
type watcher interface{ watch() *watchedNames }

// watchedNames are the limits that limiters were made of, by name, to find two
// of one name that were hardly meant to share their counts.
type watchedNames struct {
	mu     sync.Mutex
	byName map[string]watchedName
}

type watchedName struct {
	limit  Limit
	warned bool
}

func (n *watchedNames) watch() *watchedNames { return n }

// warnOfMistakes looks at the limits of a new limiter.
func warnOfMistakes(store Store, limits []Limit) {
	w, ok := store.(watcher)
	if !ok {
		return
	}
	for _, limit := range limits {
		w.watch().meet(limit)
	}
}

func (n *watchedNames) meet(limit Limit) {
	other, shared, first := n.note(limit)
	switch {
	case shared:
		slog.Warn("slidingwindow: two limiters of one store have limits of one name, so they share one count for each key",
			"limit", limit.Name, "max", limit.Max, "window", limit.Window, "other_max", other.Max, "other_window", other.Window, "help", helpNames)
	case first && limit.Max == 0:
		slog.Warn("slidingwindow: a limit has a Max of 0, so it refuses every call", "limit", limit.Name, "help", helpMaxZero)
	}
}

// note remembers a limit. shared tells, once for each name, that another limit has its name
// and hardly on purpose; first that none has.
func (n *watchedNames) note(limit Limit) (other Limit, shared, first bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	known, met := n.byName[limit.Name]
	if !met && len(n.byName) >= maxWatchedNames {
		return Limit{}, false, false
	}
	other, shared = known.limit, met && !known.warned && !sharedOnPurpose(known.limit, limit)
	if n.byName == nil {
		n.byName = map[string]watchedName{}
	}
	n.byName[limit.Name] = watchedName{limit: limit, warned: known.warned || shared}
	return other, shared, !met
}

// sharedOnPurpose tells two limits that were given one name to share their counts from
// two that differ, or that have it by default.
func sharedOnPurpose(a, b Limit) bool {
	unnamed := Limit{Max: a.Max, Window: a.Window}.withDefaults()
	return a == b && a != unnamed
}

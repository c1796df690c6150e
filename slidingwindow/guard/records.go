package guard

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	help = "https://github.com/seed-e8747a6b/ratelimit/blob/main/docs/failures.md"

	rejectedEvery = time.Minute

	// Limits beyond this number are not warned of, because a program may make up their names.
	maxWarned = 1000
)

// records logs what an operator must know. No lock is held while it logs: the handler of a record
// may ask for a decision.
type records struct {
	logger *slog.Logger

	rejected atomic.Pointer[time.Time] // when a rejected call was logged

	warning sync.Mutex
	warned  map[string]bool // limits, by name
}

func (r *records) log(level slog.Level, message, part string, attributes ...any) {
	logger := r.logger
	if logger == nil {
		logger = slog.Default()
	}
	if part != "" {
		attributes = append([]any{"part", part}, attributes...)
	}
	logger.Log(context.Background(), level, "slidingwindow: "+message, attributes...)
}

func (r *records) tellBegin(policy Policy, part string, err error) {
	r.log(slog.LevelWarn, "the store is unavailable", part, "on_failure", policy, "error", err)
}

// tellReason logs a new reason during an outage, such as a login that is refused since a restart.
func (r *records) tellReason(policy Policy, part string, err error) {
	r.log(slog.LevelError, "the store is unavailable for another reason", part, "on_failure", policy, "error", err)
}

func (r *records) tellEnd(part string, lasted time.Duration) {
	r.log(slog.LevelInfo, "the store is available again", part, "unavailable_for", lasted.Round(time.Millisecond))
}

// tellRejected logs a call that the policy answered because the store rejected it, at most once per
// rejectedEvery.
func (r *records) tellRejected(policy Policy, err error) {
	now, last := time.Now(), r.rejected.Load()
	if last != nil && now.Sub(*last) < rejectedEvery || !r.rejected.CompareAndSwap(last, &now) {
		return
	}
	r.log(slog.LevelWarn, "the store rejects a call", "", "on_failure", policy, "error", err)
}

// warnOfShares warns of limits that have less than one unit for each process. A Max of 0
// refuses every call at any time.
func (r *records) warnOfShares(limits []slidingwindow.Limit, instances int64) {
	for i := range limits {
		if limit := &limits[i]; limit.Max > 0 && limit.Max < instances && r.isNew(limit.Name) {
			r.log(slog.LevelWarn, "a limit has less than one unit for each process, so it refuses every call in an outage", "",
				"limit", limit.Name, "max", limit.Max, "instances", instances, "help", help)
		}
	}
}

func (r *records) isNew(limit string) bool {
	r.warning.Lock()
	defer r.warning.Unlock()
	if r.warned[limit] || len(r.warned) >= maxWarned {
		return false
	}
	if r.warned == nil {
		r.warned = map[string]bool{}
	}
	r.warned[limit] = true
	return true
}

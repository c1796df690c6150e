package httplimit

import (
	"slices"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// headerWriter knows what one set of limits tells in headers. All that is the same for every
// response is made once.
type headerWriter struct {
	formats Headers    // without HeadersNone: 0 writes nothing
	policy  string     // the value of RateLimit-Policy; "" for no such field
	items   []listItem // by limit, in the limiter's order
	limits  []slidingwindow.Limit
	units   map[string]string // by the name of the limit
}

func newHeaderWriter(set Headers, limits []slidingwindow.Limit, units map[string]string) headerWriter {
	w := headerWriter{formats: set.formats(), items: newListItems(limits), limits: limits, units: units}
	w.policy = w.policyOf(limits)
	return w
}

func (w *headerWriter) policyOf(limits []slidingwindow.Limit) string {
	switch {
	case w.formats&HeadersDraft11 != 0:
		return listPolicy(limits, w.units)
	case w.formats&(HeadersDraft7|HeadersDraft6) != 0:
		return integerPolicy(limits)
	default:
		return ""
	}
}

// policyNow returns the policy that decided. It is another one while a fallback gives its share of
// the limits.
func (w *headerWriter) policyNow(statuses []slidingwindow.Status) string {
	var limits []slidingwindow.Limit
	for i := range min(len(w.limits), len(statuses)) {
		if w.knows(i, &statuses[i]) && statuses[i].Limit != w.limits[i] && w.policy != "" {
			if limits == nil {
				limits = slices.Clone(w.limits)
			}
			limits[i] = statuses[i].Limit
		}
	}
	if limits == nil {
		return w.policy
	}
	return w.policyOf(limits)
}

// knows reports whether s is the status of limit i. A Decision may have none: for example, when a
// store lets calls through while another store is down.
func (w *headerWriter) knows(i int, s *slidingwindow.Status) bool {
	return w.items[i].limit == s.Limit.Name
}

// appendItems appends this limiter's items of RateLimit.
func (w *headerWriter) appendItems(text []byte, statuses []slidingwindow.Status, retryAfter int64) []byte {
	start := len(text)
	for i := range min(len(w.items), len(statuses)) {
		s := &statuses[i]
		if !w.knows(i, s) {
			continue
		}
		if len(text) > start {
			text = append(text, separator...)
		}
		text = appendItem(text, &w.items[i], s, retryAfter)
	}
	return text
}

// tells reports whether the headers have anything to say about a decision.
func (w *headerWriter) tells(d *slidingwindow.Decision) bool {
	if w.formats == 0 {
		return false
	}
	var room [usualLimits]slidingwindow.Status
	statuses := d.AppendStatuses(room[:0])
	for i := range min(len(w.items), len(statuses)) {
		if w.knows(i, &statuses[i]) {
			return true
		}
	}
	return false
}

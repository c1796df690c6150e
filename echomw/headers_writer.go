package echomw

import (
	"net/http"
	"slices"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// headerWriter writes the fields of one limiter. All that is the same for every response
// is made once.
type headerWriter struct {
	formats Headers    // without HeadersNone: 0 writes nothing
	policy  string     // the value of RateLimit-Policy; "" for no such field
	items   []listItem // by limit, in the limiter's order
	limits  []slidingwindow.Limit
}

func newHeaderWriter(set Headers, limits []slidingwindow.Limit) headerWriter {
	w := headerWriter{formats: set.formats(), items: newListItems(limits), limits: limits}
	w.policy = w.policyOf(limits)
	return w
}

func (w *headerWriter) policyOf(limits []slidingwindow.Limit) string {
	switch {
	case w.formats&HeadersDraft11 != 0:
		return listPolicy(limits)
	case w.formats&(HeadersDraft7|HeadersDraft6) != 0:
		return integerPolicy(limits)
	default:
		return ""
	}
}

// policyNow is the policy that decided, which is another one while a fallback gives its
// share of the limits.
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

// write writes the fields of one decision to those that earlier limiters wrote to this
// response, of which told knows what there is to know.
//
// On a refusal, retryAfter is the Retry-After of the response in seconds, and no reset on the
// response is later afterwards. When the request goes on, it is 0. now is asked at
// most once, and only for a format with a point in time.
func (w *headerWriter) write(h http.Header, d *slidingwindow.Decision, told *told, retryAfter int64, now func() time.Time) {
	if retryAfter > 0 {
		told.dropLaterResets(h, retryAfter)
	}
	if w.formats == 0 {
		return
	}
	statuses := d.Statuses()
	known, tightest := false, -1
	for i := range min(len(w.items), len(statuses)) {
		if w.knows(i, &statuses[i]) {
			known = true
			if told.tighten(&statuses[i]) {
				tightest = i
			}
		}
	}
	if !known {
		return
	}

	before := told.formats
	told.join(h, w.formats, tightest >= 0)
	var buf [512]byte
	text, lines := buf[:0], fieldLines{}
	if w.formats&HeadersDraft11 != 0 {
		commented := -1
		if told.formats&HeadersDraft7 != 0 {
			commented = tightest
		}
		text = w.appendItems(text, statuses, commented, retryAfter)
		lines.add(fieldLine{field: fieldRateLimit, end: len(text), adds: true})
	}
	if policy := w.policyNow(statuses); policy != "" && w.formats&HeadersDraft11 == told.formats&HeadersDraft11 {
		lines.add(fieldLine{field: fieldPolicy, value: policy, end: len(text), adds: true})
	}
	fresh := told.formats
	if tightest < 0 {
		fresh &^= before // the others stand, as they tell of a tighter limit
	}
	text = told.appendSingles(text, &lines, fresh, retryAfter, now)
	lines.writeTo(h, text)
}

// knows tells whether s is the status of limit i. A Decision need not have one: a store
// that lets calls through while another one is down knows none.
func (w *headerWriter) knows(i int, s *slidingwindow.Status) bool {
	return w.items[i].limit == s.Limit.Name
}

// appendItems appends this limiter's items of RateLimit. The one of limit commented has
// draft-7's values as well; -1 is none.
func (w *headerWriter) appendItems(text []byte, statuses []slidingwindow.Status, commented int, retryAfter int64) []byte {
	for i := range min(len(w.items), len(statuses)) {
		s := &statuses[i]
		if !w.knows(i, s) {
			continue
		}
		if len(text) > 0 {
			text = append(text, separator...)
		}
		text = appendItem(text, &w.items[i], s, retryAfter)
		if i == commented {
			text = appendComment(text, s, retryAfter)
		}
	}
	return text
}

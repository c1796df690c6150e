package httplimit

import (
	"net/http"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// told is what this package has written to the header of one response. It can be written
// again, as more limiters decide and others write to the same fields.
type told struct {
	lines      []headerLine // except those that were merged with other lines
	merged     bool
	retryAfter int64

	room [2]headerLine // for the lines of draft-11
}

// write puts what the limiters of a route have decided into the header, and keeps what others have
// written to the same fields.
//
// retryAfter is the Retry-After of the response in seconds, 0 if it has none. No reset in the
// header is later.
func (t *told) write(h http.Header, turns []turn, retryAfter int64) {
	t.takeBack(h)
	s := summarize(turns, retryAfter)
	var buf [512]byte
	var lines fieldLines
	text := s.append(buf[:0], &lines, turns)
	t.lines, t.retryAfter = lines.finish(text, t.room[:]), retryAfter
	if t.merged = hasOthers(h, t.lines); t.merged {
		t.lines = merge(h, t.lines, s, turns)
		return
	}
	setLines(h, t.lines)
}

// settle is called when the header is about to be sent. It writes again if others have written to
// the same fields, or have changed Retry-After.
func (t *told) settle(h http.Header, turns []turn) {
	retryAfter := retryAfterOf(h)
	if retryAfter > 0 && len(h[fieldRetryAfter]) > 1 {
		setRetryAfter(h, 0) // the longest of them
	}
	if t.merged || hasOthers(h, t.lines) || len(t.lines) > 0 && retryAfter != t.retryAfter {
		t.write(h, turns, retryAfter)
	}
}

// takeBack removes what was written before, and nothing else.
func (t *told) takeBack(h http.Header) {
	for i := range t.lines {
		line := &t.lines[i]
		var others []string
		for _, value := range h[line.field] {
			if value != line.value[0] {
				others = append(others, value)
			}
		}
		if others == nil {
			delete(h, line.field)
		} else {
			h[line.field] = others
		}
	}
	t.lines = nil
}

// usualLimits is how many limits of one limiter need no allocation.
const usualLimits = 4

// summary is what the limiters of a route have to tell together.
type summary struct {
	formats    Headers // of all of them, without HeadersNone
	retryAfter int64
	refused    bool

	// tightest is what the fields with room for one limit show. turn is the index of the turn that
	// it comes from, and below 0 if there is none.
	tightest slidingwindow.Status
	turn     int
}

func summarize(turns []turn, retryAfter int64) summary {
	s := summary{retryAfter: retryAfter, turn: -1}
	var room [usualLimits]slidingwindow.Status
	for i := range turns {
		t := &turns[i]
		s.refused = !t.decision.Allowed
		if !t.tells {
			continue
		}
		w, statuses := &t.plan.headers, t.decision.AppendStatuses(room[:0])
		s.formats |= w.formats
		for limit := range min(len(w.items), len(statuses)) {
			status := &statuses[limit]
			if !w.knows(limit, status) || retryAfter > 0 && ceilSeconds(waitOf(status)) > retryAfter {
				continue
			}
			if s.turn < 0 || isTighter(status, &s.tightest) {
				s.tightest, s.turn = *status, i
			}
		}
	}
	return s
}

// eachListed calls do for each limit that draft-11 tells, with its place among its limits.
func (s *summary) eachListed(turns []turn, do func(w *headerWriter, i int, status *slidingwindow.Status)) {
	for i := range turns {
		t := &turns[i]
		w, statuses := &t.plan.headers, t.decision.Statuses()
		if !t.tells || w.formats&HeadersDraft11 == 0 {
			continue
		}
		for j := range min(len(w.items), len(statuses)) {
			if w.knows(j, &statuses[j]) {
				do(w, j, &statuses[j])
			}
		}
	}
}

// isTighter tells whether a is more restrictive than b, in the order of
// slidingwindow.Decision.
func isTighter(a, b *slidingwindow.Status) bool {
	return a.RetryAfter > b.RetryAfter || a.RetryAfter == b.RetryAfter && a.Remaining < b.Remaining
}

// append appends the lines of all fields. Formats share two fields: these have the form of draft-11
// as soon as one limiter has that format.
func (s *summary) append(text []byte, lines *fieldLines, turns []turn) []byte {
	list := s.formats & HeadersDraft11
	var room [usualLimits]slidingwindow.Status
	for i := range turns {
		t := &turns[i]
		if !t.tells || t.plan.headers.formats&HeadersDraft11 == 0 {
			continue
		}
		text = t.plan.headers.appendItems(text, t.decision.AppendStatuses(room[:0]), s.retryAfter)
		lines.add(fieldLine{field: fieldRateLimit, end: len(text)})
	}
	for i := range turns {
		t := &turns[i]
		if !t.tells || t.plan.headers.formats&HeadersDraft11 != list {
			continue
		}
		if policy := t.plan.headers.policyNow(t.decision.AppendStatuses(room[:0])); policy != "" {
			lines.add(fieldLine{field: fieldPolicy, value: policy, end: len(text)})
		}
	}
	if s.turn < 0 {
		return text
	}
	if s.formats&HeadersDraft7 != 0 && list == 0 {
		text = appendDraft7(text, lines, &s.tightest)
	}
	if s.formats&HeadersDraft6 != 0 {
		text = appendDraft6(text, lines, &s.tightest)
	}
	if s.formats&HeadersLegacy != 0 {
		text = appendLegacy(text, lines, &s.tightest, turns[s.turn].at)
	}
	return text
}

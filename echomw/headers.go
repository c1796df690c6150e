package echomw

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// The fields and parameters of draft-ietf-httpapi-ratelimit-headers-11. The draft is
// still moving, and may rename any of them: nothing else in this package knows them.
// Field names are in the form that net/http keeps them in; clients do not mind the case.
const (
	fieldPolicy    = "Ratelimit-Policy"
	fieldRateLimit = "Ratelimit"

	paramQuota     = ";q=" // units in a window
	paramWindow    = ";w=" // seconds, 1 or more
	paramRemaining = ";r=" // units
	paramReset     = ";t=" // seconds; optional
)

// maxInteger is the largest Integer of a structured field (RFC 9651, section 3.3.1).
const maxInteger = 999_999_999_999_999

// draftHeaders writes the RateLimit fields of one limiter. All that is the same for
// every response is made once.
type draftHeaders struct {
	policy string       // the value of RateLimit-Policy
	items  []headerItem // by limit, in the limiter's order
}

type headerItem struct {
	limit string // the limit's name
	head  string // its item in RateLimit, up to the number: "name";r=
}

func newDraftHeaders(limits []slidingwindow.Limit) draftHeaders {
	var policy []byte
	items := make([]headerItem, len(limits))
	for i, limit := range limits {
		name := quoteString(limit.Name)
		items[i] = headerItem{limit: limit.Name, head: name + paramRemaining}

		policy = appendSeparator(policy)
		policy = append(policy, name...)
		policy = append(policy, paramQuota...)
		policy = appendInteger(policy, limit.Max)
		policy = append(policy, paramWindow...)
		policy = appendInteger(policy, max(1, ceilSeconds(limit.Window)))
	}
	return draftHeaders{policy: string(policy), items: items}
}

// add adds the fields of one decision to those of other limiters: both fields are
// lists. On a refusal, resetBy is the Retry-After of the response in seconds, and a
// reset that would come later is left out, because a client must not be told to retry
// earlier than at a reset it was told of. When allowed, resetBy is 0.
func (f *draftHeaders) add(h http.Header, d *slidingwindow.Decision, resetBy int64) {
	var buf [256]byte
	value := f.appendItems(buf[:0], d, resetBy)

	// One allocation for the two lists.
	lists := [2]string{string(value), f.policy}
	if len(value) > 0 {
		addList(h, fieldRateLimit, lists[0:1:1])
	}
	addList(h, fieldPolicy, lists[1:2:2])
}

func addList(h http.Header, field string, list []string) {
	if earlier := h[field]; len(earlier) > 0 {
		list = append(earlier, list...)
	}
	h[field] = list
}

func (f *draftHeaders) appendItems(value []byte, d *slidingwindow.Decision, resetBy int64) []byte {
	if len(f.items) == 1 {
		// What d.Statuses returns, without its allocation.
		return f.appendItem(value, 0, d.Limit.Name, d.Remaining, resetSeconds(d.Allowed, d.RetryAfter, d.ResetAfter, resetBy))
	}
	statuses := d.Statuses()
	for i := range min(len(f.items), len(statuses)) {
		s := &statuses[i]
		value = f.appendItem(value, i, s.Limit.Name, s.Remaining, resetSeconds(d.Allowed, s.RetryAfter, s.ResetAfter, resetBy))
	}
	return value
}

// appendItem appends the item of limit i, with a reset unless it is 0. A Decision need
// not have a status for the limit: a store that lets calls through while another one is
// down knows none. Then nothing is told.
func (f *draftHeaders) appendItem(value []byte, i int, limit string, remaining, reset int64) []byte {
	if f.items[i].limit != limit {
		return value
	}
	value = appendSeparator(value)
	value = append(value, f.items[i].head...)
	value = appendInteger(value, remaining)
	if reset > 0 {
		value = append(value, paramReset...)
		value = appendInteger(value, reset)
	}
	return value
}

// resetSeconds is the reset to tell of one limit, 0 for none: when it has more units
// again or, if the limit refused, when it has as many as were asked for.
func resetSeconds(allowed bool, retryAfter, resetAfter time.Duration, resetBy int64) int64 {
	reset := ceilSeconds(resetAfter)
	if retryAfter > 0 {
		reset = ceilSeconds(retryAfter)
	}
	if !allowed && reset > resetBy {
		return 0
	}
	return reset
}

// dropLaterResets takes the resets after resetBy out of the RateLimit items that other
// limiters added to this response before.
func dropLaterResets(h http.Header, resetBy int64) {
	earlier := h[fieldRateLimit]
	if len(earlier) == 0 {
		return
	}
	kept := make([]string, len(earlier))
	for i, value := range earlier {
		kept[i] = withoutLaterResets(value, resetBy)
	}
	h[fieldRateLimit] = kept
}

func withoutLaterResets(value string, resetBy int64) string {
	var kept strings.Builder
	copied, quoted := 0, false
	for i := 0; i < len(value); i++ {
		switch {
		case quoted && value[i] == '\\':
			i++ // what is escaped ends no string
		case value[i] == '"':
			quoted = !quoted
		case !quoted && strings.HasPrefix(value[i:], paramReset):
			digits := i + len(paramReset)
			end := digits
			for end < len(value) && value[end] >= '0' && value[end] <= '9' {
				end++
			}
			if reset, err := strconv.ParseInt(value[digits:end], 10, 64); err == nil && reset > resetBy {
				kept.WriteString(value[copied:i])
				copied = end
			}
		}
	}
	if copied == 0 {
		return value
	}
	kept.WriteString(value[copied:])
	return kept.String()
}

// setRetryAfter sets Retry-After in whole seconds, at least 1: clients take a 0 for
// "at once", or fall back on a delay of their own. It keeps a longer wait that is there
// already, and returns what the header says now.
func setRetryAfter(h http.Header, wait time.Duration) int64 {
	seconds := max(1, ceilSeconds(wait))
	if earlier, err := strconv.ParseInt(h.Get(echo.HeaderRetryAfter), 10, 64); err == nil {
		seconds = max(seconds, earlier)
	}
	h.Set(echo.HeaderRetryAfter, strconv.FormatInt(seconds, 10))
	return seconds
}

// ceilSeconds rounds up: a client that waits that long never comes too early.
func ceilSeconds(d time.Duration) int64 {
	seconds := int64(d / time.Second)
	if d%time.Second > 0 {
		seconds++
	}
	return seconds
}

func appendSeparator(list []byte) []byte {
	if len(list) == 0 {
		return list
	}
	return append(list, ", "...)
}

func appendInteger(b []byte, n int64) []byte {
	return strconv.AppendInt(b, min(max(0, n), maxInteger), 10)
}

// quoteString writes a String of RFC 9651, section 3.3.3. A limit's name is printable
// ASCII, which is all that such a String can hold.
func quoteString(s string) string {
	quoted := make([]byte, 0, len(s)+2)
	quoted = append(quoted, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, s[i])
	}
	return string(append(quoted, '"'))
}

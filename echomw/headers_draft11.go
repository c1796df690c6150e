package echomw

import (
	"net/http"
	"strconv"
	"strings"

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

// Parameters that draft-11 does not know, and lets clients regard as comments. To parsers
// of draft-7 that search the text they are its Dictionary.
const (
	commentLimit     = ";x-limit="
	commentRemaining = ";x-remaining="
	commentReset     = ";x-reset="
)

// listItem is all of a limit's item in RateLimit that is the same for every response.
type listItem struct {
	limit string // the limit's name
	head  string // the item up to the number: "name";r=
}

func newListItems(limits []slidingwindow.Limit) []listItem {
	items := make([]listItem, len(limits))
	for i, limit := range limits {
		items[i] = listItem{limit: limit.Name, head: quoteString(limit.Name) + paramRemaining}
	}
	return items
}

// listPolicy is the value of RateLimit-Policy.
func listPolicy(limits []slidingwindow.Limit) string {
	var policy []byte
	for i, limit := range limits {
		if i > 0 {
			policy = append(policy, separator...)
		}
		policy = append(policy, quoteString(limit.Name)...)
		policy = append(policy, paramQuota...)
		policy = appendInteger(policy, limit.Max)
		policy = append(policy, paramWindow...)
		policy = appendInteger(policy, max(1, ceilSeconds(limit.Window)))
	}
	return string(policy)
}

// appendItem appends the item of one limit, with a reset unless there is nothing to reset,
// or it comes after retryAfter: a client must not be told to retry earlier than at a
// reset it was told of.
func appendItem(list []byte, item *listItem, s *slidingwindow.Status, retryAfter int64) []byte {
	list = append(list, item.head...)
	list = appendInteger(list, s.Remaining)
	if reset := ceilSeconds(waitOf(s)); reset > 0 && (retryAfter == 0 || reset <= retryAfter) {
		list = append(list, paramReset...)
		list = appendInteger(list, reset)
	}
	return list
}

// appendComment adds to the item before it what draft-7 would say.
func appendComment(list []byte, s *slidingwindow.Status, retryAfter int64) []byte {
	list = append(list, commentLimit...)
	list = appendInteger(list, s.Limit.Max)
	list = append(list, commentRemaining...)
	list = appendInteger(list, s.Remaining)
	list = append(list, commentReset...)
	return appendInteger(list, ceilSeconds(waitUpTo(s, retryAfter)))
}

// dropLaterResets takes the resets after retryAfter out of the items that other
// limiters added to this response before.
func dropLaterResets(h http.Header, retryAfter int64) {
	dropParams(h, func(param string, value int64) bool { return param == paramReset && value > retryAfter })
}

// dropComments takes what appendComment added out of the items of this response.
func dropComments(h http.Header) {
	dropParams(h, func(param string, _ int64) bool {
		return param == commentLimit || param == commentRemaining || param == commentReset
	})
}

// dropParams takes Integer parameters out of RateLimit. drop gets them as they are named
// above.
func dropParams(h http.Header, drop func(param string, value int64) bool) {
	earlier := h[fieldRateLimit]
	if len(earlier) == 0 {
		return
	}
	kept := make([]string, len(earlier))
	for i, line := range earlier {
		kept[i] = withoutParams(line, drop)
	}
	h[fieldRateLimit] = kept
}

func withoutParams(line string, drop func(param string, value int64) bool) string {
	var kept strings.Builder
	copied, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch {
		case quoted && line[i] == '\\':
			i++ // what is escaped ends no string
		case line[i] == '"':
			quoted = !quoted
		case !quoted && line[i] == ';':
			param, value, end, ok := integerParam(line, i)
			if ok && drop(param, value) {
				kept.WriteString(line[copied:i])
				copied = end
			}
		}
	}
	if copied == 0 {
		return line
	}
	kept.WriteString(line[copied:])
	return kept.String()
}

// integerParam reads the parameter at the semicolon at start, if its value is an Integer
// that is not negative: ";t=60" is ";t=" and 60. Of one without a value it makes a parameter
// of no name that there is.
func integerParam(line string, start int) (param string, value int64, end int, ok bool) {
	name := strings.IndexByte(line[start:], '=')
	if name < 0 {
		return "", 0, 0, false
	}
	digits := start + name + 1
	end = digits
	for end < len(line) && line[end] >= '0' && line[end] <= '9' {
		end++
	}
	value, err := strconv.ParseInt(line[digits:end], 10, 64)
	return line[start:digits], value, end, err == nil
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

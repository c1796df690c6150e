package httplimit

import (
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// The fields and parameters of draft-ietf-httpapi-ratelimit-headers-11. The draft is
// still moving, and may rename any of them: nothing else in this package knows them.
// Field names are in the form that net/http keeps them in; clients do not mind the case.
const (
	fieldPolicy    = "Ratelimit-Policy"
	fieldRateLimit = "Ratelimit"

	keyQuota     = "q"  // units in a window
	keyWindow    = "w"  // seconds, 1 or more
	keyRemaining = "r"  // units
	keyReset     = "t"  // seconds; optional
	keyUnit      = "qu" // of a quota; optional

	paramQuota     = ";" + keyQuota + "="
	paramWindow    = ";" + keyWindow + "="
	paramRemaining = ";" + keyRemaining + "="
	paramReset     = ";" + keyReset + "="
	paramUnit      = ";" + keyUnit + "="

	defaultUnit = "requests"
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

// listPolicy returns the value of RateLimit-Policy. units has the units that are not requests, by
// the name of the limit.
func listPolicy(limits []slidingwindow.Limit, units map[string]string) string {
	var policy []byte
	for i, limit := range limits {
		if i > 0 {
			policy = append(policy, separator...)
		}
		policy = append(policy, quoteString(limit.Name)...)
		policy = append(policy, paramQuota...)
		policy = appendInteger(policy, limit.Max)
		if unit := units[limit.Name]; unit != "" && unit != defaultUnit {
			policy = append(policy, paramUnit...)
			policy = append(policy, quoteString(unit)...)
		}
		policy = append(policy, paramWindow...)
		policy = appendInteger(policy, max(1, ceilSeconds(limit.Window)))
	}
	return string(policy)
}

// appendItem appends the item of one limit. It has a reset, unless there is nothing to reset or the
// reset is later than retryAfter: a client must not be told to retry before a reset.
func appendItem(list []byte, item *listItem, s *slidingwindow.Status, retryAfter int64) []byte {
	list = append(list, item.head...)
	list = appendInteger(list, s.Remaining)
	if reset := ceilSeconds(waitOf(s)); reset > 0 && (retryAfter == 0 || reset <= retryAfter) {
		list = append(list, paramReset...)
		list = appendInteger(list, reset)
	}
	return list
}

const allowedUnit = `"requests", "content-bytes", "concurrent-requests", or another word of 1 to 64 letters, digits, "-", "_" and "."`

// isUnit reports whether a text can be the unit of a quota. The draft allows any String, but the
// units in its registry are words that need no quoting.
func isUnit(unit string) bool {
	for i := range len(unit) {
		c := unit[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return unit != "" && len(unit) <= 64
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

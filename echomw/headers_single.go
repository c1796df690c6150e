package echomw

import (
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// The fields that have room for one limit, in the form that net/http keeps them in.
// RateLimit is draft-7's too, and RateLimit-Policy draft-7's and draft-6's.
const (
	fieldLimit     = "Ratelimit-Limit"
	fieldRemaining = "Ratelimit-Remaining"
	fieldReset     = "Ratelimit-Reset" // seconds

	fieldLegacyLimit     = "X-Ratelimit-Limit"
	fieldLegacyRemaining = "X-Ratelimit-Remaining"
	fieldLegacyReset     = "X-Ratelimit-Reset" // seconds since 1970
)

// integerPolicy is the value of RateLimit-Policy in draft-7 and draft-6: it names no limit.
func integerPolicy(limits []slidingwindow.Limit) string {
	var policy []byte
	for i, limit := range limits {
		if i > 0 {
			policy = append(policy, separator...)
		}
		policy = appendInteger(policy, limit.Max)
		policy = append(policy, ";w="...)
		policy = appendInteger(policy, max(1, ceilSeconds(limit.Window)))
	}
	return string(policy)
}

// appendDraft7 appends RateLimit as a Dictionary.
func appendDraft7(text []byte, lines *fieldLines, s *slidingwindow.Status) []byte {
	text = append(text, "limit="...)
	text = appendInteger(text, s.Limit.Max)
	text = append(text, ", remaining="...)
	text = appendInteger(text, s.Remaining)
	text = append(text, ", reset="...)
	text = appendInteger(text, ceilSeconds(waitOf(s)))
	lines.add(fieldLine{field: fieldRateLimit, end: len(text)})
	return text
}

func appendDraft6(text []byte, lines *fieldLines, s *slidingwindow.Status) []byte {
	text = lines.appendInteger(text, fieldLimit, s.Limit.Max)
	text = lines.appendInteger(text, fieldRemaining, s.Remaining)
	return lines.appendInteger(text, fieldReset, ceilSeconds(waitOf(s)))
}

func appendLegacy(text []byte, lines *fieldLines, s *slidingwindow.Status, now time.Time) []byte {
	text = lines.appendInteger(text, fieldLegacyLimit, s.Limit.Max)
	text = lines.appendInteger(text, fieldLegacyRemaining, s.Remaining)
	return lines.appendInteger(text, fieldLegacyReset, ceilUnix(now.Add(waitOf(s))))
}

// waitOf is how long until a limit has more units again or, if it refused, until it has
// as many as were asked for.
func waitOf(s *slidingwindow.Status) time.Duration {
	if s.RetryAfter > 0 {
		return s.RetryAfter
	}
	return max(0, s.ReplenishAfter)
}

// ceilUnix rounds up, as ceilSeconds does.
func ceilUnix(t time.Time) int64 {
	seconds := t.Unix()
	if t.Nanosecond() > 0 {
		seconds++
	}
	return seconds
}

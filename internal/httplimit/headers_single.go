package httplimit

import (
	"net/http"
	"strconv"
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

// waitOf returns how long it takes until a limit has more units again or, if it refused, until it
// has as many as were asked for.
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

const fieldRetryAfter = "Retry-After"

// setRetryAfter sets Retry-After in whole seconds, at least 1: clients take a 0 for
// "at once", or fall back on a delay of their own. It keeps a longer wait that is there
// already, and returns what the header says now.
func setRetryAfter(h http.Header, wait time.Duration) int64 {
	seconds := max(1, ceilSeconds(wait), retryAfterOf(h))
	h[fieldRetryAfter] = []string{strconv.FormatInt(seconds, 10)}
	return seconds
}

// retryAfterOf returns the Retry-After of a response, the longest if it has several; 0 if it
// has none in seconds.
func retryAfterOf(h http.Header) (seconds int64) {
	for _, value := range h[fieldRetryAfter] {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			seconds = max(seconds, n)
		}
	}
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

package httplimit

import (
	"net/http"
	"strconv"
	"time"
)

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

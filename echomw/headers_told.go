package echomw

import (
	"net/http"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// told is what the limiters of a route have said on one response so far. The zero value
// says nothing.
type told struct {
	// formats are those of all limiters so far, without HeadersNone.
	formats Headers

	// tightest is what the fields with room for one limit show. A limit without a name
	// is none.
	tightest slidingwindow.Status
}

func (t *told) known() bool { return t.tightest.Limit.Name != "" }

// tighten reports whether s is more restrictive than all before, and keeps it if so. The
// order is that of slidingwindow.Decision.
func (t *told) tighten(s *slidingwindow.Status) bool {
	tighter := !t.known() || s.RetryAfter > t.tightest.RetryAfter ||
		s.RetryAfter == t.tightest.RetryAfter && s.Remaining < t.tightest.Remaining
	if tighter {
		t.tightest = *s
	}
	return tighter
}

// join adds the formats of one more limiter, and takes out of the response what does not go
// with them: of the two fields that formats share, draft-11 has the form, and only
// the tightest limit's item is commented.
func (t *told) join(h http.Header, formats Headers, tighter bool) {
	if t.formats&HeadersDraft11 != 0 {
		if tighter && t.formats&HeadersDraft7 != 0 {
			dropComments(h)
		}
	} else if formats&HeadersDraft11 != 0 {
		t.dropDictionary(h)
		if t.formats&(HeadersDraft7|HeadersDraft6) != 0 {
			h.Del(fieldPolicy)
		}
	}
	t.formats |= formats
}

// appendSingles appends the lines of those formats which have room for one limit.
func (t *told) appendSingles(text []byte, lines *fieldLines, formats Headers, retryAfter int64, now func() time.Time) []byte {
	if formats&HeadersDraft7 != 0 && t.formats&HeadersDraft11 == 0 {
		text = appendDraft7(text, lines, &t.tightest, retryAfter)
	}
	if formats&HeadersDraft6 != 0 {
		text = appendDraft6(text, lines, &t.tightest, retryAfter)
	}
	if formats&HeadersLegacy != 0 {
		text = appendLegacy(text, lines, &t.tightest, retryAfter, now())
	}
	return text
}

// dropLaterResets takes out of the response what says a reset after its Retry-After. The
// fields with room for one limit are nothing without a reset, so they go as a whole.
func (t *told) dropLaterResets(h http.Header, retryAfter int64) {
	dropLaterResets(h, retryAfter)
	if ceilSeconds(waitOf(&t.tightest)) <= retryAfter {
		return
	}
	t.tightest = slidingwindow.Status{}
	if t.formats&HeadersDraft7 != 0 && t.formats&HeadersDraft11 != 0 {
		dropComments(h)
	}
	t.dropDictionary(h)
	if t.formats&HeadersDraft6 != 0 {
		h.Del(fieldLimit)
		h.Del(fieldRemaining)
		h.Del(fieldReset)
	}
	if t.formats&HeadersLegacy != 0 {
		h.Del(fieldLegacyLimit)
		h.Del(fieldLegacyRemaining)
		h.Del(fieldLegacyReset)
	}
}

// dropDictionary takes draft-7's RateLimit out, if it is that.
func (t *told) dropDictionary(h http.Header) {
	if t.formats&(HeadersDraft11|HeadersDraft7) == HeadersDraft7 {
		h.Del(fieldRateLimit)
	}
}

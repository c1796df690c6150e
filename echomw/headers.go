package echomw

import (
	"fmt"
	"math/bits"
	"strings"
)

// Headers is a set of formats in which responses tell clients where they stand:
//
//	Headers: echomw.HeadersDraft11 | echomw.HeadersLegacy
//
// Any combination is allowed, except HeadersNone with another. The zero value stands for
// HeadersDraft11.
//
// Draft-11 lists each limit of each limiter on the route, and so does RateLimit-Policy in
// all formats. The other fields have room for one limit and show the most restrictive
// so far: of those that refused, the one with the longest wait; if none did, the one with
// the least left; the first of equals. Resets are rounded up, so that nobody
// comes too early. No format has a field for a limit whose status is unknown, as when a
// store lets calls through while another one is down.
//
// On a refusal no reset in seconds is later than Retry-After: draft-11 leaves a later
// one out, and what an earlier limiter of the route said in the other fields gives way.
//
// Other limiters may write to the same fields, such as that of a service behind a gateway. When
// the header is sent, lists join, and of two limits of one name the tighter stays; the
// fields with room for one limit show the tighter one. The form is that of this set: an item
// that was made of another's draft-7 is named "other", and what does not fit the form is left
// out. Fields that this set does not have are left alone.
//
// Draft-7 and draft-6 agree on RateLimit-Policy; together with draft-11 it has draft-11's
// form. RateLimit with both draft-11 and draft-7 stays draft-11's List, and the item of the
// most restrictive limit says the same once more, in parameters that draft-11 lets
// clients regard as comments:
//
//	RateLimit: "burst";r=9;t=1, "api";r=7;t=413;x-limit=100;x-remaining=7;x-reset=413
//
// A client that searches the text for limit=, remaining= and reset=, as npm's
// ratelimit-header-parser does, finds them there, unless the name of a limit has such a
// text in it. One that parses the Dictionary which draft-7 prescribes gets nothing,
// because a List is none: it must ignore the field, and is left with Retry-After and the
// fields of the other formats. Choose draft-7 without draft-11 for such clients.
//
// The limiters of a route should have the same set. If they do not, what one of them
// sends is kept up to date by those after it; RateLimit and RateLimit-Policy take
// draft-11's form as soon as one limiter has it, and then leave out the limits of those
// that do not; the limits of one with HeadersNone are shown nowhere.
type Headers uint8

const (
	// HeadersDraft11 is the form of draft-ietf-httpapi-ratelimit-headers-08 to -11, which
	// are alike, and the default. Both fields are Lists (RFC 9651):
	//
	//	RateLimit-Policy: "burst";q=10;w=1, "daily";q=1000;w=86400
	//	RateLimit: "burst";r=9;t=1, "daily";r=999;t=86400
	//
	// w and t are in seconds. t is left out when there is nothing to reset.
	HeadersDraft11 Headers = 1 << iota

	// HeadersDraft7 is the form of draft-ietf-httpapi-ratelimit-headers-07, where RateLimit
	// is a Dictionary. reset is in seconds, 0 when there is nothing to reset:
	//
	//	RateLimit-Policy: 10;w=1, 1000;w=86400
	//	RateLimit: limit=10, remaining=9, reset=1
	HeadersDraft7

	// HeadersDraft6 is the form of draft-ietf-httpapi-ratelimit-headers-04 to -06, with a
	// field for each number. RateLimit-Reset is in seconds, 0 when there is nothing to
	// reset:
	//
	//	RateLimit-Policy: 10;w=1, 1000;w=86400
	//	RateLimit-Limit: 10
	//	RateLimit-Remaining: 9
	//	RateLimit-Reset: 1
	HeadersDraft6

	// HeadersLegacy is the form that GitHub and express-rate-limit send, which no document
	// defines. X-RateLimit-Reset is a point in time, in seconds since 1970 (Unix) and
	// rounded up, by the clock of this process:
	//
	//	X-RateLimit-Limit: 10
	//	X-RateLimit-Remaining: 9
	//	X-RateLimit-Reset: 1767323046
	//
	// It needs clients with a clock that is right. On a refusal it may come up to
	// a second after Retry-After, for being rounded up to a full second of the clock.
	HeadersLegacy

	// HeadersNone is no field at all. Refusals have Retry-After all the same.
	HeadersNone

	// The formats that can be on one response.
	allFormats = HeadersDraft11 | HeadersDraft7 | HeadersDraft6 | HeadersLegacy
)

// headerNames are in the order of the bits.
var headerNames = [...]string{"draft-11", "draft-7", "draft-6", "legacy", "none"}

const allowedHeaders = `"draft-11", "draft-7", "draft-6" and "legacy" in any combination, or "none" alone`

// ParseHeaders reads a set as [Headers.String] writes it: names of formats, separated by
// commas, such as "draft-11, legacy". Spaces around a name and the order do not matter,
// nor does naming a format twice. The names are draft-11, draft-7, draft-6, legacy and
// none; draft-8, draft-9 and draft-10 are taken for draft-11, whose form they have.
//
// Any other name, an empty one, and none together with another are errors that list what
// is allowed: each is a [ConfigError].
func ParseHeaders(text string) (Headers, error) {
	var set Headers
	for name := range strings.SplitSeq(text, ",") {
		name = strings.Trim(name, " \t")
		format, ok := headersNamed(name)
		if !ok {
			return 0, &ConfigError{Field: "ParseHeaders: a name", Given: shown(name, text), Allowed: allowedHeaders}
		}
		set |= format
	}
	if fault := set.fault(); fault != "" {
		return 0, &ConfigError{Field: "ParseHeaders: text", Given: shown(text, text) + ", which " + fault, Allowed: allowedHeaders}
	}
	return set, nil
}

func headersNamed(name string) (Headers, bool) {
	switch name {
	case "draft-8", "draft-9", "draft-10":
		return HeadersDraft11, true
	}
	for i, known := range headerNames {
		if name == known {
			return 1 << i, true
		}
	}
	return 0, false
}

// String returns the names of the formats in their order, "draft-11, legacy", for
// [ParseHeaders] to read. The zero value is "draft-11", for which it stands. A bit that is
// no format is written as "Headers(32)", which ParseHeaders refuses.
func (h Headers) String() string {
	h = h.orDefault()
	var names []string
	for rest := h; rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros8(uint8(rest))
		if i < len(headerNames) {
			names = append(names, headerNames[i])
		} else {
			names = append(names, fmt.Sprintf("Headers(%d)", 1<<i))
		}
	}
	return strings.Join(names, ", ")
}

// formats returns the formats that are on a response, without HeadersNone.
func (h Headers) formats() Headers { return h.orDefault() & allFormats }

func (h Headers) orDefault() Headers {
	if h == 0 {
		return HeadersDraft11
	}
	return h
}

// fault says what is wrong with the set; "" if nothing is.
func (h Headers) fault() string {
	switch {
	case h&^(allFormats|HeadersNone) != 0:
		return "has bits that are no format"
	case h&HeadersNone != 0 && h != HeadersNone:
		return "has none together with another format"
	}
	return ""
}

package echomw

import "github.com/seed-e8747a6b/ratelimit/internal/httplimit"

// Headers is a set of formats in which responses tell clients where they stand:
//
//	Headers: echomw.HeadersDraft11 | echomw.HeadersLegacy
//
// Any combination is allowed, except HeadersNone with another and HeadersDraft11 with
// HeadersDraft7. The zero value stands for HeadersDraft11.
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
// form. Draft-11 and draft-7 do not go together, because they disagree on RateLimit.
//
// The limiters of a route should have the same set. If they do not, what one of them
// sends is kept up to date by those after it; RateLimit and RateLimit-Policy take
// draft-11's form as soon as one limiter has it, and then leave out the limits of those
// that do not; the limits of one with HeadersNone are shown nowhere.
type Headers = httplimit.Headers

const (
	// HeadersDraft11 is the form of draft-ietf-httpapi-ratelimit-headers-08 to -11, which
	// are alike, and the default. Both fields are Lists (RFC 9651):
	//
	//	RateLimit-Policy: "burst";q=10;w=1, "daily";q=1000;w=86400
	//	RateLimit: "burst";r=9;t=1, "daily";r=999;t=86400
	//
	// w and t are in seconds. t is left out when there is nothing to reset.
	HeadersDraft11 Headers = httplimit.HeadersDraft11

	// HeadersDraft7 is the form of draft-ietf-httpapi-ratelimit-headers-07, where RateLimit
	// is a Dictionary. reset is in seconds, 0 when there is nothing to reset:
	//
	//	RateLimit-Policy: 10;w=1, 1000;w=86400
	//	RateLimit: limit=10, remaining=9, reset=1
	HeadersDraft7 Headers = httplimit.HeadersDraft7

	// HeadersDraft6 is the form of draft-ietf-httpapi-ratelimit-headers-04 to -06, with a
	// field for each number. RateLimit-Reset is in seconds, 0 when there is nothing to
	// reset:
	//
	//	RateLimit-Policy: 10;w=1, 1000;w=86400
	//	RateLimit-Limit: 10
	//	RateLimit-Remaining: 9
	//	RateLimit-Reset: 1
	HeadersDraft6 Headers = httplimit.HeadersDraft6

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
	HeadersLegacy Headers = httplimit.HeadersLegacy

	// HeadersNone is no field at all. Refusals have Retry-After all the same.
	HeadersNone Headers = httplimit.HeadersNone
)

// ParseHeaders reads a set as [Headers.String] writes it: names of formats, separated by
// commas, such as "draft-11, legacy". Spaces around a name and the order do not matter,
// nor does naming a format twice. The names are draft-11, draft-7, draft-6, legacy and
// none; draft-8, draft-9 and draft-10 are taken for draft-11, whose form they have.
//
// Any other name, an empty one, and a combination that is not allowed are errors that list what
// is allowed: each is a [ConfigError].
func ParseHeaders(text string) (Headers, error) { return httplimit.ParseHeaders(text) }

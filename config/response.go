package config

import (
	"slices"
	"strconv"
	"strings"
)

const (
	defaultRefusedStatus = 429
	defaultNoKeyStatus   = 403
	defaultFailedStatus  = 503

	minFailure = 400
	maxFailure = 599

	statusRule  = "400 to 599"
	headersRule = "draft-6, legacy and one of draft-7 and draft-11 (or draft-8, draft-9, draft-10, which mean the same), separated by commas; or none alone"

	formatDraft11 = "draft-11"
	formatDraft7  = "draft-7"
	formatNone    = "none"
)

var (
	// In the order of the canonical form.
	formats = []string{formatDraft11, formatDraft7, "draft-6", "legacy", formatNone}

	// Drafts that have the headers of draft-11.
	sameAsDraft11 = []string{"draft-8", "draft-9", "draft-10"}
)

// Response says what a program answers, for echomw.Config.
type Response struct {
	// Headers are the formats of the headers that tell a client its quota, separated by
	// a comma and a space and in the order draft-11, draft-7, draft-6, legacy; or
	// "none". Draft-11 and draft-7 exclude each other. The drafts are those of draft-ietf-httpapi-ratelimit-headers, "legacy"
	// is X-RateLimit-*. For echomw.ParseHeaders. Defaults to "draft-11".
	Headers string

	// RefusedStatus is the HTTP status of a refusal, 400 to 599. Defaults to 429.
	RefusedStatus int

	// NoKeyStatus is the HTTP status if it cannot be told whom a request counts
	// against, 400 to 599. Defaults to 403.
	NoKeyStatus int

	// FailedStatus is the HTTP status if there is no decision, as when Redis is away,
	// 400 to 599. Defaults to 503.
	FailedStatus int
}

func (s *settings) response() Response {
	return Response{
		Headers:       s.headers(),
		RefusedStatus: s.status(keyRefusedStatus, defaultRefusedStatus),
		NoKeyStatus:   s.status(keyNoKeyStatus, defaultNoKeyStatus),
		FailedStatus:  s.status(keyFailedStatus, defaultFailedStatus),
	}
}

func (s *settings) status(key string, byDefault int) int {
	status, ok := s.integer(key, statusRule)
	if !ok {
		return byDefault
	}
	if status < minFailure || status > maxFailure {
		s.invalid(key, "", statusRule)
	}
	return int(status)
}

// headers returns the canonical form of a set of formats, as one set has many spellings.
func (s *settings) headers() string {
	if !s.merged.Exists(keyHeaders) {
		return formatDraft11
	}
	given, ok := s.list(keyHeaders, headersRule)
	if !ok {
		return ""
	}
	text, _ := s.merged.Get(keyHeaders).(string)
	chosen := map[string]bool{}
	for i, item := range given {
		name, isText := item.(string)
		if slices.Contains(sameAsDraft11, name) {
			name = formatDraft11
		}
		switch {
		case !isText:
			s.invalid(keyHeaders, shown(item)+" is not a format", headersRule)
		case name == "":
			s.invalid(keyHeaders, "format "+strconv.Itoa(i+1)+" is empty", headersRule)
		case !slices.Contains(formats, name):
			s.invalid(keyHeaders, shownPart(name, text)+" is not a format", headersRule)
		}
		chosen[name] = true
	}
	switch {
	case len(given) == 0:
		s.invalid(keyHeaders, "it is empty", headersRule)
	case chosen[formatNone] && len(chosen) > 1:
		s.invalid(keyHeaders, "none does not go with another format", headersRule)
	case chosen[formatDraft11] && chosen[formatDraft7]:
		s.invalid(keyHeaders, "draft-11 does not go with draft-7", headersRule)
	}
	canonical := slices.DeleteFunc(slices.Clone(formats), func(name string) bool { return !chosen[name] })
	return strings.Join(canonical, ", ")
}

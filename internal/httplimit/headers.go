package httplimit

import (
	"fmt"
	"math/bits"
	"strings"
)

// Headers is a set of formats; adapters document it. The zero value stands for HeadersDraft11.
type Headers uint8

// The formats, which adapters document.
const (
	HeadersDraft11 Headers = 1 << iota
	HeadersDraft7
	HeadersDraft6
	HeadersLegacy
	HeadersNone // no field at all

	// The formats that can be on one response. Fields of a new format need a group in merge, too, or
	// the tighter value of a gateway is lost; its name needs a place in headerNames, and in config.
	allFormats = HeadersDraft11 | HeadersDraft7 | HeadersDraft6 | HeadersLegacy
)

// headerNames are in the order of the bits.
var headerNames = [...]string{"draft-11", "draft-7", "draft-6", "legacy", "none"}

const allowedHeaders = `"draft-6", "legacy" and one of "draft-11" and "draft-7" in any combination, or "none" alone`

// ParseHeaders is what adapters document under this name.
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
	case h&HeadersDraft11 != 0 && h&HeadersDraft7 != 0:
		return "has draft-11 and draft-7, which disagree on RateLimit"
	}
	return ""
}

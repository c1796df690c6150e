package echomw

import (
	"net/http"
	"strconv"
)

const (
	separator = ", " // between the members of a list

	// maxInteger is the largest Integer of a structured field (RFC 9651, section 3.3.1).
	maxInteger = 999_999_999_999_999

	// maxLines is how many lines a limiter writes at most: RateLimit, RateLimit-Policy,
	// and three each of draft-6 and legacy.
	maxLines = 8
)

// fieldLines gathers the lines of one limiter for a response, which then cost two
// allocations, however many there are: one for all text, one for all lists of lines.
//
// The text is passed along by itself, one line after another: as a field of this struct
// it would not stay on the stack, because the names of the fields do not.
type fieldLines struct {
	lines [maxLines]fieldLine
	n     int
}

type fieldLine struct {
	field string // in the form that net/http keeps it in
	value string // "" for the text from the end of the line before
	end   int    // of the line in the text
	adds  bool   // to the lines of other limiters, whose place it takes otherwise
}

func (l *fieldLines) add(line fieldLine) {
	l.lines[l.n] = line
	l.n++
}

// appendInteger appends a line that is an Integer.
func (l *fieldLines) appendInteger(text []byte, field string, n int64) []byte {
	text = appendInteger(text, n)
	l.add(fieldLine{field: field, end: len(text)})
	return text
}

func (l *fieldLines) writeTo(h http.Header, text []byte) {
	all, start := string(text), 0
	values := make([]string, l.n)
	for i := range values {
		line := &l.lines[i]
		values[i] = line.value
		if line.value == "" {
			values[i] = all[start:line.end]
		}
		start = line.end
		// Without room behind it, so that nobody's append reaches the next one.
		list := values[i : i+1 : i+1]
		if earlier := h[line.field]; line.adds && len(earlier) > 0 {
			list = append(earlier, list...)
		}
		h[line.field] = list
	}
}

func appendInteger(b []byte, n int64) []byte {
	return strconv.AppendInt(b, min(max(0, n), maxInteger), 10)
}

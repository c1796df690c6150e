package httplimit

import (
	"net/http"
	"strconv"
)

const (
	separator = ", " // between the members of a list

	// maxInteger is the largest Integer of a structured field (RFC 9651, section 3.3.1).
	maxInteger = 999_999_999_999_999

	// usualLines is how many lines one limiter writes at most: RateLimit, RateLimit-Policy,
	// and three each of draft-6 and legacy.
	usualLines = 8
)

// fieldLines gathers the lines of a response, which then cost two allocations at most, however
// many there are: one for all text, one for all lines. Lines of one field follow each other.
//
// The text is passed along by itself, one line after another: as a field of this struct
// it would not stay on the stack, because the names of the fields do not.
type fieldLines struct {
	first [usualLines]fieldLine
	more  []fieldLine // of several limiters
	n     int
}

type fieldLine struct {
	field string // in the form that net/http keeps it in
	value string // "" for the text from the end of the line before
	end   int    // of the line in the text
}

func (l *fieldLines) add(line fieldLine) {
	if l.n < len(l.first) {
		l.first[l.n] = line
	} else {
		l.more = append(l.more, line)
	}
	l.n++
}

func (l *fieldLines) at(i int) *fieldLine {
	if i < len(l.first) {
		return &l.first[i]
	}
	return &l.more[i-len(l.first)]
}

// appendInteger appends a line that is an Integer.
func (l *fieldLines) appendInteger(text []byte, field string, n int64) []byte {
	text = appendInteger(text, n)
	l.add(fieldLine{field: field, end: len(text)})
	return text
}

// headerLine is a line as it is in a header. Nearly all fields have one line, and the array lets a
// header hold its value without another allocation.
type headerLine struct {
	field string
	value [1]string
}

// finish returns the lines, in room if there is enough of it.
func (l *fieldLines) finish(text []byte, room []headerLine) []headerLine {
	all, start := string(text), 0
	lines := room[:min(len(room), l.n)]
	if len(room) < l.n {
		lines = make([]headerLine, l.n)
	}
	for i := range lines {
		line := l.at(i)
		lines[i] = headerLine{field: line.field, value: [1]string{line.value}}
		if line.value == "" {
			lines[i].value[0] = all[start:line.end]
		}
		start = line.end
	}
	return lines
}

// setLines replaces all that the header has in the fields of these lines.
func setLines(h http.Header, lines []headerLine) {
	for i := 0; i < len(lines); {
		field, n := lines[i].field, linesOfOneField(lines[i:])
		if n == 1 {
			// Without spare capacity, so that no append overwrites the next line.
			h[field] = lines[i].value[:1:1]
		} else {
			values := make([]string, n)
			for j := range values {
				values[j] = lines[i+j].value[0]
			}
			h[field] = values
		}
		i += n
	}
}

// hasOthers tells whether the header has other lines in the fields of these.
func hasOthers(h http.Header, lines []headerLine) bool {
	for i := 0; i < len(lines); {
		n := linesOfOneField(lines[i:])
		for _, value := range h[lines[i].field] {
			if !isAmong(lines[i:i+n], value) {
				return true
			}
		}
		i += n
	}
	return false
}

func isAmong(lines []headerLine, value string) bool {
	for i := range lines {
		if lines[i].value[0] == value {
			return true
		}
	}
	return false
}

func linesOfOneField(lines []headerLine) int {
	n := 1
	for n < len(lines) && lines[n].field == lines[0].field {
		n++
	}
	return n
}

func appendInteger(b []byte, n int64) []byte {
	return strconv.AppendInt(b, min(max(0, n), maxInteger), 10)
}

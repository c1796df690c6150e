package redisconn

import (
	"bytes"
)

// isKind are the first bytes of values.
var isKind = func() (is [256]bool) {
	for _, kind := range []byte("$*:+-%>_,#~=(!|") {
		is[kind] = true
	}
	return is
}()

const (
	maxStringBytes = 512 << 20 // Redis allows no more, unless proto-max-bulk-len is raised
	maxValues      = 1 << 24
	maxHeaderBytes = 32 // of a line that tells a length
	maxDigits      = 9  // in it
)

// The errors that a wrong server may answer, by how they begin. An error about the rights of the
// user who runs a script has no word of its own.
const noPermission = "NOPERM"

var refusals = []struct{ begins, word string }{
	{"READONLY ", "READONLY"},
	{"MASTERDOWN ", "MASTERDOWN"},
	{"LOADING ", "LOADING"},
	{"NOREPLICAS ", "NOREPLICAS"},
	{"NOPERM ", noPermission},
	{"ERR The user executing the script can't", noPermission},
	{"The user executing the script can't", noPermission},
	{"ERR ACL failure in script", noPermission},
	{"ACL failure in script", noPermission},
}

// parser finds where the messages end in a stream of RESP, the protocol of Redis, which comes
// in pieces. It reads commands as well, which are arrays of strings. It is strict where the
// client would panic: about types and lengths.
type parser struct {
	// Of the message under way, or of the one that has just ended.
	kind    byte   // its first byte
	size    int    // values in it, without those in its values
	refusal string // the word of an error in it that is among the refusals
	word    []byte // the beginning of the first string in it

	values int    // of the message that have begun
	left   int    // values that have not
	skip   int    // bytes of a string, line end included, that have not come
	line   []byte // the beginning of a line whose end has not come
	inside bool   // a message is under way
	isWord bool   // the string under way is the first one
}

// next reads b up to the end of the message under way, or up to its own end.
func (p *parser) next(b []byte) (n int, ended bool, err error) {
	for n < len(b) {
		if p.skip > 0 {
			n += p.takeString(b[n:])
		} else {
			if len(p.line) == 0 && !isKind[b[n]] {
				return n, false, ErrProtocol
			}
			size := bytes.IndexByte(b[n:], '\n') + 1
			if size == 0 {
				return len(b), false, p.keep(b[n:])
			}
			if b[n] == ':' && p.left > 1 && len(p.line) == 0 { // most of what the scripts reply
				p.left--
				p.values++
				n += size
				continue
			}
			line := b[n : n+size]
			if len(p.line) > 0 {
				if err := p.keep(line); err != nil {
					return n, false, err
				}
				line = p.line
			}
			n += size
			err = p.header(line)
			p.line = p.line[:0]
			if err != nil {
				return n, false, err
			}
		}
		if p.skip == 0 && p.left == 0 {
			p.inside = false
			return n, true, nil
		}
	}
	return n, false, nil
}

// keep adds a piece to a line. Only the beginning and the end of a long line matter.
func (p *parser) keep(piece []byte) error {
	const most = 2 * maxHeaderBytes
	p.line = append(p.line, piece...)
	if len(p.line) > maxHeaderBytes && !isText(p.line[0]) {
		return ErrProtocol
	}
	if len(p.line) <= most {
		return nil
	}
	end := p.line[len(p.line)-2:]
	p.line = append(p.line[:most-2], end...)
	return nil
}

// takeString reads a part of a string.
func (p *parser) takeString(b []byte) int {
	n := min(len(b), p.skip)
	if p.isWord {
		text := b[:min(n, max(0, p.skip-len("\r\n")))]
		p.word = append(p.word, text[:min(len(text), maxHeaderBytes-len(p.word))]...)
	}
	p.skip -= n
	return n
}

func isText(kind byte) bool {
	return kind == '+' || kind == '-' || kind == ':' || kind == ',' || kind == '('
}

// header reads a line, which is a value or the beginning of one.
func (p *parser) header(line []byte) error {
	if len(line) < len("_\r\n") || len(line) > maxHeaderBytes && !isText(line[0]) {
		return ErrProtocol
	}
	kind, text := line[0], line[1:len(line)-len("\r\n")]
	if !p.inside {
		*p = parser{kind: kind, left: 1, inside: true, word: p.word[:0], line: p.line}
	}
	p.left--
	p.values++
	p.isWord = false
	switch kind {
	case '-':
		p.noteError(text)
		return nil
	case '+', ':', ',', '(':
		return nil
	case '_':
		return protocolErrorUnless(len(text) == 0)
	case '#':
		return protocolErrorUnless(len(text) == 1)
	}
	n, ok := length(text)
	switch {
	case !ok || n < -1 || n < 0 && (kind == '%' || kind == '|'):
		return ErrProtocol
	case n < 0: // a null of RESP2
		return nil
	}
	switch kind {
	case '$', '=', '!':
		p.skip = n + len("\r\n")
		p.isWord = p.values == 2
		return protocolErrorUnless(n <= maxStringBytes)
	case '*', '~', '>':
	case '%':
		n *= 2
	case '|': // comes before a value
		n = 2*n + 1
	}
	if p.values == 1 {
		p.size = n
	}
	p.left += n
	return protocolErrorUnless(n <= maxValues && p.left <= maxValues)
}

// length reads a number of decimal digits. strconv has no such function for bytes, and each
// string of a command has one.
func length(text []byte) (n int, ok bool) {
	digits := bytes.TrimPrefix(text, []byte("-"))
	if len(digits) == 0 || len(digits) > maxDigits {
		return 0, false
	}
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = 10*n + int(digit-'0')
	}
	if len(digits) < len(text) {
		n = -n
	}
	return n, true
}

func protocolErrorUnless(ok bool) error {
	if ok {
		return nil
	}
	return ErrProtocol
}

func (p *parser) noteError(text []byte) {
	for _, refusal := range refusals {
		if bytes.HasPrefix(text, []byte(refusal.begins)) {
			p.refusal = refusal.word
			return
		}
	}
}

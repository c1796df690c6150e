package slidingwindow

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A text is textVersion, a dot, and in base64 the fields of the Decision and a checksum of all
// that comes before it. Numbers are varints, times in ns; a string comes after its length. A
// change of this form, or of hashKey, needs another version.
const (
	textVersion  = "1"
	textSumBytes = 8

	longestVersion = 9
)

// MarshalText returns d as a text that any process can settle or refund, now or later: a queue
// can carry it to the worker that knows what was used. It implements [encoding.TextMarshaler], so
// that encoding/json writes a Decision as that text, in a string.
//
// The text has letters, digits, "-", "_" and one dot: about 100 bytes for one limit and 50 for
// each further one. It holds all that d tells, and the names of its limits and its store. It does
// not hold the key, which you need to settle it. It holds 32 bits of a hash of the key: enough to
// notice another key. With them, whoever has the text can check a guess of the key. So if keys are
// secret, use hashes of them as keys.
//
// The text is neither secret nor signed. Its checksum finds damage and edits, but anybody who knows
// this package can forge it: do not accept it from somebody whom you limit.
//
// A d that was changed since its call returned it is [ErrDecisionChanged].
func (d Decision) MarshalText() ([]byte, error) {
	if err := d.asTaken(); err != nil {
		return nil, err
	}
	statuses := d.Statuses()
	binding := slices.IndexFunc(statuses, func(s Status) bool { return s.isToldBy(&d) })
	if binding < 0 && (len(statuses) > 0 || !(&Status{}).isToldBy(&d)) {
		return nil, fmt.Errorf("%w: Limit, Granted, Remaining, RetryAfter or ReplenishAfter is that of no Status; allowed: a Decision as its call returned it", ErrDecisionChanged)
	}
	var w textWriter
	w.flag(d.Allowed)
	w.string(string(d.Reason))
	w.string(d.Store)
	w.int(int64(d.Delay))
	w.int(int64(d.keyHash))
	w.int(int64(len(statuses)))
	w.int(int64(max(0, binding)))
	for i := range statuses {
		s := &statuses[i]
		w.string(s.Limit.Name)
		for _, n := range []int64{s.Limit.Max, int64(s.Limit.Window), int64(s.Limit.Resolution), s.Granted, s.Remaining, int64(s.RetryAfter), int64(s.ReplenishAfter), s.Receipt} {
			w.int(n)
		}
	}
	text := append([]byte(textVersion), '.')
	return base64.RawURLEncoding.AppendEncode(text, append(w, textSum(w)...)), nil
}

// UnmarshalText sets d to the Decision that MarshalText wrote: the same in every field. It
// implements [encoding.TextUnmarshaler].
//
// A text that was cut, padded or changed is [ErrDecisionChanged], and one of another version of
// this form is [ErrDecisionVersion]. d is then unchanged. [Limiter.Refund] and [Limiter.Settle] find
// out whether the Decision fits the key and the store.
func (d *Decision) UnmarshalText(text []byte) error {
	version, body, _ := strings.Cut(string(text), ".")
	if version != textVersion {
		if isVersion(version) && body != "" {
			return fmt.Errorf("%w: the text is of version %s; allowed: version %s", ErrDecisionVersion, version, textVersion)
		}
		return textChanged(text, "does not begin with its version")
	}
	w, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || len(w) < textSumBytes {
		return textChanged(text, "is not whole")
	}
	content, sum := w[:len(w)-textSumBytes], w[len(w)-textSumBytes:]
	if !bytes.Equal(sum, textSum(content)) {
		return textChanged(text, "does not match its checksum")
	}
	decoded, ok := readDecision(content)
	if !ok {
		return textChanged(text, "holds no Decision")
	}
	// The decoder also accepts what MarshalText never writes, such as a line end in base64.
	if again, err := decoded.MarshalText(); err != nil || !bytes.Equal(again, text) {
		return textChanged(text, "is not as MarshalText writes it")
	}
	*d = decoded
	return nil
}

func textChanged(text []byte, what string) error {
	return fmt.Errorf("%w: the text of %d bytes %s; allowed: a text as MarshalText returned it", ErrDecisionChanged, len(text), what)
}

func isVersion(s string) bool {
	return s != "" && len(s) <= longestVersion && strings.Trim(s, "0123456789") == ""
}

func textSum(content []byte) []byte {
	sum := sha256.Sum256(append([]byte("slidingwindow.Decision "+textVersion+"."), content...))
	return sum[:textSumBytes]
}

// isToldBy reports whether d says the same of its binding limit as s.
func (s *Status) isToldBy(d *Decision) bool {
	return d.Limit == s.Limit && d.Granted == s.Granted && d.Remaining == s.Remaining &&
		d.RetryAfter == s.RetryAfter && d.ReplenishAfter == s.ReplenishAfter
}

// readDecision reads what MarshalText wrote into a text.
func readDecision(content []byte) (d Decision, ok bool) {
	r := textReader{rest: content}
	d.Allowed = r.int() == 1
	d.Reason = Reason(r.string())
	d.Store = r.string()
	d.Delay = time.Duration(r.int())
	d.keyHash = uint32(r.int()) //nolint:gosec // UnmarshalText notices what is cut off
	count, binding := r.int(), r.int()
	var statuses []Status
	for i := int64(0); i < count && !r.failed; i++ {
		statuses = append(statuses, Status{
			Limit:   Limit{Name: r.string(), Max: r.int(), Window: time.Duration(r.int()), Resolution: time.Duration(r.int())},
			Granted: r.int(), Remaining: r.int(),
			RetryAfter: time.Duration(r.int()), ReplenishAfter: time.Duration(r.int()),
			Receipt: r.int(),
		})
	}
	if r.failed || len(r.rest) > 0 || binding < 0 || count != int64(len(statuses)) || count > 0 && binding >= count {
		return Decision{}, false
	}
	if count > 0 {
		s := &statuses[binding]
		d.Limit, d.Granted, d.Remaining, d.RetryAfter, d.ReplenishAfter = s.Limit, s.Granted, s.Remaining, s.RetryAfter, s.ReplenishAfter
	}
	switch {
	case count == 1:
		d.receipt = statuses[0].Receipt
	case count > 1:
		d.statuses = statuses
	}
	d.taken = d.Granted
	return d, true
}

// textWriter is the content of a text.
type textWriter []byte

func (w *textWriter) int(n int64) { *w = binary.AppendVarint(*w, n) }

func (w *textWriter) flag(is bool) {
	n := int64(0)
	if is {
		n = 1
	}
	w.int(n)
}

func (w *textWriter) string(s string) {
	w.int(int64(len(s)))
	*w = append(*w, s...)
}

// textReader reads the content of a text. After it has failed it reads zeros.
type textReader struct {
	rest   []byte
	failed bool
}

func (r *textReader) int() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.rest, r.failed = nil, true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *textReader) string() string {
	size := r.int()
	if size < 0 || size > int64(len(r.rest)) {
		r.rest, r.failed = nil, true
		return ""
	}
	s := string(r.rest[:size])
	r.rest = r.rest[size:]
	return s
}

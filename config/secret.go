package config

import (
	"fmt"
	"log/slog"
	"strconv"
)

const mask = "xxxxx" // stands for what must not be shown

// redacted shows itself as its text, however it is printed, logged or marshalled. A
// type that embeds it holds what must not be shown in a function, because nothing that
// prints values by reflection looks into one.
type redacted struct{ shown string }

// String returns the text that may be shown.
func (r redacted) String() string { return r.shown }

// GoString returns String as a Go string.
func (r redacted) GoString() string { return strconv.Quote(r.shown) }

// MarshalText returns String.
func (r redacted) MarshalText() ([]byte, error) { return []byte(r.shown), nil }

// LogValue returns String.
func (r redacted) LogValue() slog.Value { return slog.StringValue(r.shown) }

// Secret is a text that shows itself as "xxxxx", or as "" if there is none, however it
// is printed, logged or marshalled. Only [Load] makes one; the zero value stands for
// none.
type Secret struct {
	redacted
	open func() string
}

// Bytes returns a copy of the secret, nil if there is none. What prints the copy shows
// the secret.
func (s Secret) Bytes() []byte {
	if s.open == nil {
		return nil
	}
	return []byte(s.open())
}

// secret reports what is wrong without the value, whatever it is: a number may be a
// secret that lacks its quotes.
func (s *settings) secret(key string, least int, allowed string) Secret {
	if !s.isSet(key) {
		return Secret{}
	}
	text, ok := s.merged.Get(key).(string)
	why := ""
	switch {
	case !ok:
		why = textNeeded
	case stray(text) != "":
		why = stray(text)
	case len(text) < least:
		why = fmt.Sprintf("it has a length of %d", len(text))
	default:
		return Secret{redacted{mask}, func() string { return text }}
	}
	s.problemf("%s, not shown as it is a secret: %s; allowed: %s", s.describe(key), why, allowed)
	return Secret{}
}

package config

import (
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const mask = "xxxxx" // replaces what must not be shown

// redacted shows itself as its text, however it is printed, logged or marshalled. A type that
// embeds it keeps its secret in a function, because printing by reflection does not look into
// functions.
type redacted struct{ shown string }

// String returns the text that may be shown.
func (r redacted) String() string { return r.shown }

// GoString returns String as a Go string.
func (r redacted) GoString() string { return strconv.Quote(r.shown) }

// MarshalText returns String.
func (r redacted) MarshalText() ([]byte, error) { return []byte(r.shown), nil }

// LogValue returns String.
func (r redacted) LogValue() slog.Value { return slog.StringValue(r.shown) }

// Secret is a text that shows itself as "xxxxx", or as "" if it is empty, however it is printed,
// logged or marshalled. Only [Load] makes one. The zero value stands for no secret.
type Secret struct {
	redacted
	open func() string
}

// Bytes returns a copy of the secret, nil if there is none. The copy is not protected: printing it
// shows the secret.
func (s Secret) Bytes() []byte {
	if s.open == nil {
		return nil
	}
	return []byte(s.open())
}

// secret reads a secret. Its faults never show the value: even a number may be a secret without
// its quotes.
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

// plainName is a name that a message may show as it is.
var plainName = regexp.MustCompile(`^[!-~]{1,128}$`)

// shownName is the name of a setting, known or not, for a message.
func shownName(name string) string {
	name = masked(name)
	if plainName.MatchString(name) {
		return name
	}
	return shown(name)
}

// plainURL is a URL without a login that is not one of Redis. The host of a URL of Redis may be a
// misplaced password.
var plainURL = regexp.MustCompile(`^(https?|tcp)://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$`)

// masked removes a login from a text, which may be a URL that was meant for REDIS_URL.
func masked(text string) string {
	at := strings.LastIndexByte(text, '@')
	switch {
	case at >= 0:
		return mask + text[at:]
	case strings.Contains(text, "://") && !plainURL.MatchString(text):
		scheme, _, _ := strings.Cut(text, "://")
		return scheme + "://" + mask
	default:
		return text
	}
}

// shownPart is a part of a text for an error message. It does not show a part of a URL, which may
// be the password.
func shownPart(part, text string) string {
	if masked(text) != text {
		return "a part"
	}
	return shown(part)
}

// shown is a value for an error message, without a login.
func shown(value any) string {
	const most = 64
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		value = masked(value)
		if len(value) > most {
			value = value[:most] + "..."
		}
		return strconv.QuoteToASCII(value)
	case time.Duration:
		return value.String()
	case float32:
		return shown(float64(value))
	case float64:
		if value == math.Trunc(value) { // shows 80.0 as 80.0, because 80 would look like an integer
			return strconv.FormatFloat(value, 'f', 1, 64)
		}
	}
	switch reflect.ValueOf(value).Kind() {
	case reflect.Map:
		return "a section"
	case reflect.Slice:
		return "a list"
	default:
		return fmt.Sprint(value)
	}
}

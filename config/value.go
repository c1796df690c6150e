package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The functions below report whether the key has a value of their type. Decoding is
// strict: a source that can only hold texts (a variable) may hold a number as text,
// but nothing else is taken for what it is not.

func (s *settings) integer(key, allowed string) (n int64, ok bool) {
	if !s.merged.Exists(key) {
		return 0, false
	}
	value := reflect.ValueOf(s.merged.Get(key))
	_, isDuration := s.merged.Get(key).(time.Duration)
	why := wholeNumber
	switch {
	case isDuration:
	case value.CanInt():
		return value.Int(), true
	case value.CanUint() && value.Uint() <= math.MaxInt64:
		return int64(value.Uint()), true
	case value.CanUint():
		why = ""
	case value.Kind() == reflect.String:
		n, err := strconv.ParseInt(value.String(), 10, 64)
		plain := strconv.FormatInt(n, 10)
		switch {
		case err == nil && plain == value.String():
			return n, true
		case err == nil:
			why = fmt.Sprintf(plainNumber, plain)
		case errors.Is(err, strconv.ErrRange):
			why = ""
		}
	}
	s.invalid(key, why, allowed)
	return 0, false
}

func (s *settings) duration(key, allowed string) (d time.Duration, ok bool) {
	if !s.merged.Exists(key) {
		return 0, false
	}
	why := notADuration
	switch value := s.merged.Get(key).(type) {
	case time.Duration:
		return value, true
	case string:
		d, err := time.ParseDuration(value)
		_, notANumber := strconv.ParseFloat(value, 64)
		if err == nil && notANumber != nil {
			return d, true
		}
		switch {
		case notANumber == nil:
			why = needsUnit
		case wellFormed.MatchString(value):
			why = tooLong
		}
	default:
		if v := reflect.ValueOf(value); v.CanInt() || v.CanUint() || v.CanFloat() {
			why = needsUnit
		}
	}
	s.invalid(key, why, allowed)
	return 0, false
}

func (s *settings) text(key, allowed string) (text string, ok bool) {
	if !s.merged.Exists(key) {
		return "", false
	}
	text, ok = s.merged.Get(key).(string)
	if !ok {
		s.invalid(key, textNeeded, allowed)
	}
	return text, ok
}

// boolean takes two words only: whether "yes", "on" or "1" is true depends on whom you
// ask.
func (s *settings) boolean(key string) (b, ok bool) {
	if !s.merged.Exists(key) {
		return false, false
	}
	switch value := s.merged.Get(key); value {
	case true, "true":
		return true, true
	case false, "false":
		return false, true
	default:
		s.invalid(key, "", trueOrFalse)
		return false, false
	}
}

// plainName is a key or a variable that a message may have as it is.
var plainName = regexp.MustCompile(`^[!-~]{1,128}$`)

// shownName is the name of a setting, known or not, for a message.
func shownName(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return shown(name)
}

const notShown = "(not shown, as it may hold a password)"

func likelySecret(text string) bool {
	return strings.Contains(text, "@") || strings.Contains(text, "://")
}

// wellFormed is a duration of any length.
var wellFormed = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*(ns|us|µs|μs|ms|s|m|h))+$`)

// shownPart is a part of a text for an error message. A part of a URL may be its
// password, and no longer look like it.
func shownPart(part, text string) string {
	if likelySecret(text) {
		return notShown
	}
	return shown(part)
}

// shown is a value for an error message. A text that looks like a URL or a login was
// perhaps meant for REDIS_URL, so it is not shown.
func shown(value any) string {
	const most = 64
	switch value := value.(type) {
	case nil:
		return "null"
	case string:
		if likelySecret(value) {
			return notShown
		}
		if len(value) > most {
			value = value[:most] + "..."
		}
		return strconv.QuoteToASCII(value)
	case time.Duration:
		return value.String()
	case float32:
		return shown(float64(value))
	case float64:
		if value == math.Trunc(value) { // else 80.0 is shown as the whole number it is not
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

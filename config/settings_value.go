package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	wholeNumber  = "a whole number is needed"
	plainNumber  = "write it without a plus sign or leading zeros, as %s"
	needsUnit    = "a duration needs a unit"
	notADuration = "it is not a duration"
	tooLong      = "it is longer than 290 years"
	textNeeded   = "a text is needed"
	trueOrFalse  = "true or false"
)

// wellFormed is a duration of any length.
var wellFormed = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*(ns|us|µs|μs|ms|s|m|h))+$`)

// The functions below return the value of a key, and whether it has one of their type. They
// convert a text to a number, a duration or a bool, because variables hold texts only. They
// convert nothing else.

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

// within is a whole number from least to most.
func (s *settings) within(key string, least, most int64, allowed string) (n int, ok bool) {
	value, ok := s.integer(key, allowed)
	if ok && (value < least || value > most) {
		s.invalid(key, "", allowed)
		return 0, false
	}
	return int(value), ok
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

// atLeast is a duration of least or more.
func (s *settings) atLeast(key string, least time.Duration, allowed string) (d time.Duration, ok bool) {
	d, ok = s.duration(key, allowed)
	if ok && d < least {
		s.invalid(key, "", allowed)
		return 0, false
	}
	return d, ok
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

// cleanText is a text whose every byte counts, such as the path of a file. It refuses what files and
// tools add around a text.
func (s *settings) cleanText(key, allowed string) string {
	text, ok := s.text(key, allowed)
	if fault := stray(text); ok && fault != "" {
		s.invalid(key, fault, allowed)
		return ""
	}
	return text
}

// stray says what a text has around it or in it by accident, such as the line break of a mounted
// file or the quotes that docker --env-file keeps. Otherwise two instances could read one setting
// in two ways. It returns "" if there is nothing of this kind.
func stray(text string) string {
	first, _ := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	switch {
	case text == "":
		return ""
	case first == '\ufeff':
		return "it begins with a byte order mark"
	case strings.TrimSpace(text) != text:
		return "it begins or ends with a space or a line break"
	case strings.ContainsFunc(text, unicode.IsControl):
		return "it has a line break, a tab or another control character in it"
	case unicode.Is(unicode.Cf, first) || unicode.Is(unicode.Cf, last):
		return "it begins or ends with a character that cannot be seen"
	case utf8.RuneCountInString(text) > 1 && slices.Contains([]string{`""`, `''`, "“”", "‘’"}, string([]rune{first, last})):
		return "it has quotes around it"
	default:
		return ""
	}
}

// list is a list, or the items of a text with commas.
func (s *settings) list(key, allowed string) (items []any, ok bool) {
	switch value := s.merged.Get(key).(type) {
	case string:
		for item := range strings.SplitSeq(value, ",") {
			items = append(items, strings.Trim(item, " \t")) // as echomw.ParseHeaders does
		}
		return items, true
	case []any:
		return value, true
	default:
		s.invalid(key, "a text or a list is needed", allowed)
		return nil, false
	}
}

// boolean takes true and false only, because programs disagree about "yes", "on" and "1".
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

// isSet reports whether a key has a value, right or wrong.
func (s *settings) isSet(key string) bool { return s.merged.Exists(key) && s.merged.Get(key) != "" }

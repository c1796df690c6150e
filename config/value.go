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

// cleanText is a text whose every byte counts, as in the name of a file: what has been put around it
// on its way here is refused.
func (s *settings) cleanText(key, allowed string) string {
	text, ok := s.text(key, allowed)
	if fault := stray(text); ok && fault != "" {
		s.invalid(key, fault, allowed)
		return ""
	}
	return text
}

// stray says what a text has around it, or in it, that is seldom meant: the line end of a mounted
// file, the quotes that docker --env-file keeps. Two instances could else read one setting in two
// ways. It is "" if there is nothing.
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

// list is a list, or the items of a text with commas, and the text then.
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
	name = masked(name)
	if plainName.MatchString(name) {
		return name
	}
	return shown(name)
}

// plainURL is one that has no login, and is not that of a Redis: its host may be a password.
var plainURL = regexp.MustCompile(`^(https?|tcp)://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?$`)

// masked is a text without a login: it may be a URL that was meant for REDIS_URL.
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

// wellFormed is a duration of any length.
var wellFormed = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*(ns|us|µs|μs|ms|s|m|h))+$`)

// shownPart is a part of a text for an error message. A part of a URL may be its
// password, and no longer look like it.
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

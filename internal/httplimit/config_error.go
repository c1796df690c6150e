package httplimit

import (
	"errors"
	"strconv"
	"strings"
)

// ErrInvalidConfig means that something was made with a setting that is not allowed.
// [ConfigError] says which.
var ErrInvalidConfig = errors.New("echomw: invalid configuration")

// ConfigError says which setting is wrong. It matches [ErrInvalidConfig], and no
// field of it holds a secret. Faults are reported all at once, joined by [errors.Join]:
// [errors.As] finds the first.
type ConfigError struct {
	// Field is the setting, after the functions that it was given to:
	// "Join: part 1: KeyByHeader: name". Parts are counted from 0.
	Field string

	// Given is its value, quoted if it is text, or for a secret its length.
	Given string

	// Allowed are the values that it may have.
	Allowed string
}

// Error implements error.
func (e *ConfigError) Error() string {
	return ErrInvalidConfig.Error() + ": " + e.Field + " is " + e.Given + "; allowed: " + e.Allowed
}

// Is reports whether target is [ErrInvalidConfig].
func (e *ConfigError) Is(target error) bool { return target == ErrInvalidConfig }

// shown returns a part of the text of a setting, for an error: just enough to recognize it, and
// nothing of it if the text may be a URL of Redis with a password.
func shown(part, text string) string {
	const enough = 32
	if strings.Contains(text, "://") || strings.Contains(text, "@") {
		return "a text that is not shown, as it may hold a password"
	}
	if len(part) > enough {
		part = part[:enough] + "..."
	}
	return strconv.QuoteToASCII(part)
}

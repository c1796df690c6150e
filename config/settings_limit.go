package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Limit is a named limit and how a program applies it.
type Limit struct {
	// Limit is how much is allowed, for [slidingwindow.New].
	slidingwindow.Limit

	// By says whom the limit counts, such as "ip+route" or "hashed:header:X-API-Key"; the
	// package's documentation has the syntax. It has no spaces around its parts.
	// echomw.ParseKey makes a Keyer of it. Defaults to "": the program chooses.
	By string

	// Mode is for [slidingwindow.Limiter.SetMode]. Defaults to slidingwindow.ModeEnforce.
	Mode slidingwindow.Mode
}

const resolutionRule = "0s, or 1ms to the window, of which the window is a multiple, such as 1m"

func (s *settings) limit(name string) Limit {
	maxKey, windowKey := limitKey(name, fieldMax), limitKey(name, fieldWindow)
	maxRule, windowRule := limitRules()
	for _, half := range []struct{ key, example string }{{maxKey, "100"}, {windowKey, "15m"}} {
		if !s.merged.Exists(half.key) && !s.incomplete {
			s.problemf("%s is not set: limit %q needs it; set %s in the environment, or %s in the YAML file, to a value such as %s",
				half.key, name, variableOf(half.key), half.key, half.example)
		}
	}
	limit := slidingwindow.Limit{Name: name, Max: 1, Window: time.Second} // valid, so that each setting is checked by itself
	if units, ok := s.integer(maxKey, maxRule); ok {
		limit.Max = units
	}
	window, ok := s.duration(windowKey, windowRule)
	if ok {
		limit.Window = window
	}
	resolutionKey := limitKey(name, fieldResolution)
	if resolution, given := s.duration(resolutionKey, resolutionRule); given && ok {
		limit.Resolution = resolution
	}
	for _, fault := range limitFaults(limit) {
		switch fault.Field {
		case "Max":
			s.invalid(maxKey, "", fault.Allowed)
		case "Window":
			s.invalid(windowKey, "", fault.Allowed+", such as 15m")
			ok = false
		case "Resolution":
			if ok {
				s.invalid(resolutionKey, "", fault.Allowed)
			}
		}
	}
	return Limit{Limit: limit, By: s.by(limitKey(name, fieldBy)), Mode: s.mode(limitKey(name, fieldMode))}
}

func (s *settings) mode(key string) (mode slidingwindow.Mode) {
	const allowed = "enforce, shadow, off"
	text, ok := s.text(key, allowed)
	if ok && mode.UnmarshalText([]byte(text)) != nil {
		s.invalid(key, "", allowed)
	}
	return mode
}

// manyEntries is the size of a key's log from which Open warns.
const manyEntries = 100_000

func (l *Limit) isLarge() bool {
	return l.LogBytes() >= slidingwindow.Limit{Max: manyEntries}.LogBytes()
}

// warnOfLogs warns of the limits whose logs can become large.
func (r Redis) warnOfLogs(ctx context.Context) {
	for _, limit := range r.large {
		r.logger().WarnContext(ctx, "the log of a limit can take much memory for each key; a resolution bounds it",
			"limit", limit.Name, "max", limit.Max, "window", limit.Window, "resolution", limit.Resolution, "bytes_per_key", limit.LogBytes(),
			"set", variableOf(limitKey(limit.Name, fieldResolution)))
	}
}

// limitFaults are the faults that slidingwindow finds, so that both packages have the same rules.
func limitFaults(limit slidingwindow.Limit) (faults []*slidingwindow.LimitError) {
	var joined interface{ Unwrap() []error }
	if !errors.As(limit.Validate(), &joined) {
		return nil
	}
	for _, err := range joined.Unwrap() {
		var fault *slidingwindow.LimitError
		if errors.As(err, &fault) {
			faults = append(faults, fault)
		}
	}
	return faults
}

// limitRules are the allowed values of a limit, in the words of slidingwindow.
func limitRules() (maxRule, windowRule string) {
	for _, fault := range limitFaults(slidingwindow.Limit{Max: -1}) {
		switch fault.Field {
		case "Max":
			maxRule = fault.Allowed
		case "Window":
			windowRule = fault.Allowed + ", such as 15m"
		}
	}
	return maxRule, windowRule
}

const (
	partSeparator = "+"
	hashedPart    = "hashed:"
	headerAddress = "ip:header:" // an address that a proxy puts into a header

	byRule = "ip, ip:header:<name>, route, pattern, header:<name>, cookie:<name>, query:<name>, param:<name> and form:<name>, joined with +, each with or without hashed: before it"
)

var (
	bareParts  = []string{"ip", "route", "pattern"}
	tokenParts = []string{"header", "cookie"} // their names are tokens
	namedParts = []string{"query", "param", "form"}
)

// by returns whom a limit counts, in canonical form. It checks the syntax only, because this package
// knows no HTTP framework.
func (s *settings) by(key string) string {
	text, ok := s.text(key, byRule)
	if !ok || text == "" {
		return ""
	}
	parts := strings.Split(text, partSeparator)
	hashed := false
	for i, part := range parts {
		part = strings.TrimSpace(part)
		parts[i] = part
		if part == "" {
			s.invalid(key, fmt.Sprintf("part %d is empty", i+1), byRule)
			continue
		}
		rest, isHashed := strings.CutPrefix(part, hashedPart)
		if fault := partFault(rest); fault != "" {
			s.invalid(key, shownPart(part, text)+" "+fault, byRule)
		}
		hashed = hashed || isHashed
	}
	// A missing secret may be in a file that cannot be read.
	if hashed && !s.isSet(keySecret) && !s.incomplete {
		s.problemf("%s is %s: hashed: needs %s, which is not set; set %s in the environment to a text of %d bytes or more",
			s.describe(key), shown(text), keySecret, variableOf(keySecret), minSecretBytes)
	}
	return strings.Join(parts, partSeparator)
}

// partFault says what is wrong with a part, without its "hashed:"; "" if nothing is.
func partFault(part string) string {
	if name, ok := strings.CutPrefix(part, headerAddress); ok {
		part = "header:" + name
	}
	kind, name, isNamed := strings.Cut(part, ":")
	takesToken, takesText := slices.Contains(tokenParts, kind), slices.Contains(namedParts, kind)
	switch {
	case slices.Contains(bareParts, kind) && isNamed:
		return "has a colon, and " + kind + " takes no name"
	case slices.Contains(bareParts, kind):
		return ""
	case !takesToken && !takesText:
		return "is not known"
	case name == "":
		return "lacks a name"
	case takesToken && !isToken(name):
		return "has a name that no " + kind + " can have"
	case strings.TrimSpace(name) != name:
		return "has a space before its name"
	}
	return ""
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2). The names of headers and cookies
// are tokens.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alphanumeric := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

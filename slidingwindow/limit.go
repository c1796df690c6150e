package slidingwindow

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// The largest Integer that a structured HTTP field can carry (RFC 9651,
	// section 3.3.1), so that headers never need to round a Max. It is also exact
	// in the doubles that Lua and sorted-set scores are made of.
	maxUnits = 999_999_999_999_999

	minWindow = time.Millisecond
	maxWindow = 10 * 365 * 24 * time.Hour

	maxNameBytes = 64

	// What the header of a log and each entry take in Redis 7 at most, as
	// TestLogBytes measures it.
	logBytes   = 512
	entryBytes = 160
)

// Limit allows Max units in any interval of length Window.
//
// The zero value is not valid; [New] and [Limit.Validate] say why.
type Limit struct {
	// Name identifies the limit in Redis keys, in HTTP headers and in errors: 1
	// to 64 bytes of printable ASCII. The log of a key belongs to the name, so a
	// named limit keeps its log when Max or Window change, and two limiters that
	// share a store, a prefix and a name share their quota. Limiters with different
	// Windows can use one log, as during a deployment or with plans: each counts by its
	// own. The log keeps hits for the longest Window with which a call was allowed in the
	// last such Window. Defaults to Max and Window in the form "100-per-15m".
	Name string

	// Max is how many units are allowed in any Window: 0 to 999,999,999,999,999.
	// 0 refuses every call. A store keeps one entry for each allowed call of the
	// last Window, so a log holds at most Max of them: with a large Max see Resolution
	// and [Limit.LogBytes].
	Max int64

	// Window is how long a unit counts after it was allowed: 1ms to 87600h (ten
	// years), in whole microseconds.
	Window time.Duration

	// Resolution is for a large Max: the calls of one Resolution share an entry of the log, which
	// then has no more than Window / Resolution + 1 of them, whatever Max is. Their units
	// count until the end of that Resolution and a Window more, so no Window ever
	// holds more than Max, and a call may be refused early by less than a Resolution.
	// RetryAfter, ReplenishAfter and the places of Reserve are exact in that log.
	// It is 0, or 1ms to Window, in whole microseconds, and Window a multiple of it; with up to
	// 120 of them to a Window a log takes the fewest bytes. Limiters of one Name may have different
	// ones. Defaults to 0: each call has an entry of its own.
	//
	// Refund or settle a Decision on such a limit once: a second time, which does nothing
	// else, takes the units of other calls in the entry.
	Resolution time.Duration
}

// PerSecond returns a Limit of max units in any second, named "<max>-per-1s".
func PerSecond(max int64) Limit { return per(max, time.Second) }

// PerMinute returns a Limit of max units in any minute, named "<max>-per-1m".
func PerMinute(max int64) Limit { return per(max, time.Minute) }

// PerHour returns a Limit of max units in any hour, named "<max>-per-1h".
func PerHour(max int64) Limit { return per(max, time.Hour) }

// PerDay returns a Limit of max units in any 24 hours, named "<max>-per-24h".
func PerDay(max int64) Limit { return per(max, 24*time.Hour) }

func per(max int64, window time.Duration) Limit {
	return Limit{Max: max, Window: window}.withDefaults()
}

// Validate reports every field that is out of range, as a [*LimitError] each,
// joined by [errors.Join]; all of them match [ErrInvalidLimit]. It returns nil for
// a Limit that [New] takes. An empty Name is valid: it stands for the default.
func (l Limit) Validate() error {
	var errs []error
	name := l.withDefaults().Name
	fault := func(field, given, allowed string) {
		errs = append(errs, &LimitError{Limit: name, Field: field, Given: given, Allowed: allowed})
	}
	if len(l.Name) > maxNameBytes {
		fault("Name", strconv.Itoa(len(l.Name))+" bytes", "at most "+strconv.Itoa(maxNameBytes)+" bytes")
	}
	if !isPrintableASCII(l.Name) {
		fault("Name", quoteShort(l.Name), "printable ASCII characters")
	}
	if l.Max < 0 || l.Max > maxUnits {
		fault("Max", strconv.FormatInt(l.Max, 10), "0 to "+strconv.FormatInt(maxUnits, 10)+" units")
	}
	switch {
	case l.Window < minWindow || l.Window > maxWindow:
		fault("Window", l.Window.String(), formatWindow(minWindow)+" to "+formatWindow(maxWindow))
	case l.Window%time.Microsecond != 0:
		fault("Window", l.Window.String(), "whole microseconds")
	}
	switch r := l.Resolution; {
	case r == 0:
	case r < minWindow || r > l.Window:
		fault("Resolution", r.String(), "0s, or "+formatWindow(minWindow)+" to the Window of "+formatWindow(l.Window))
	case r%time.Microsecond != 0:
		fault("Resolution", r.String(), "whole microseconds")
	case l.Window%r != 0:
		fault("Resolution", r.String(), "a duration that the Window of "+formatWindow(l.Window)+" is a multiple of")
	}
	return errors.Join(errs...)
}

// LogBytes returns how many bytes of Redis the log of one key can take at most, besides its
// name. 10 million calls a day can take 1.6 GB without a Resolution, and 16 KB with one of 15
// minutes. It counts entries of allowed calls only: places of [Limiter.Reserve] ahead of the
// clock, units taken ahead, and what [Limiter.Charge] counts above Max come on top.
func (l Limit) LogBytes() int64 {
	entries := l.Max
	if l.Resolution > 0 {
		entries = min(entries, int64(l.Window/l.Resolution)+1)
	}
	return logBytes + min(entries, maxUnits)*entryBytes
}

func (l Limit) withDefaults() Limit {
	if l.Name == "" {
		l.Name = strconv.FormatInt(l.Max, 10) + "-per-" + formatWindow(l.Window)
	}
	return l
}

// LimitError says which field of a Limit is out of range. It matches
// [ErrInvalidLimit].
type LimitError struct {
	Limit   string // the limit's Name, given or default
	Field   string // "Name", "Max", "Window" or "Resolution"
	Given   string // the field's value
	Allowed string // the values that are allowed
}

// Error implements error.
func (e *LimitError) Error() string {
	return fmt.Sprintf("%v: %s of %s is %s; allowed: %s", ErrInvalidLimit, e.Field, quoteShort(e.Limit), e.Given, e.Allowed)
}

// Is reports whether target is [ErrInvalidLimit].
func (e *LimitError) Is(target error) bool { return target == ErrInvalidLimit }

// formatWindow is Duration.String without its zero tail: 15m rather than 15m0s.
func formatWindow(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func isPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// quoteShort quotes s for an error message, cut to the length of a valid name.
func quoteShort(s string) string {
	if len(s) > maxNameBytes {
		s = s[:maxNameBytes] + "..."
	}
	return strconv.QuoteToASCII(s)
}

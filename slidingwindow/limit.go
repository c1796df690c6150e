package slidingwindow

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	// The largest Integer of a structured HTTP field (RFC 9651, section 3.3.1), so that no header has to
	// round a Max. Lua numbers and the scores of sorted sets, which are doubles, hold it exactly.
	maxUnits = 999_999_999_999_999

	minWindow = time.Millisecond
	maxWindow = 10 * 365 * 24 * time.Hour

	maxNameBytes = 64

	// The most that the header of a log and each entry take in Redis 7. TestLogBytes measures it.
	logBytes   = 512
	entryBytes = 160
)

// Limit allows Max units in any interval of length Window.
//
// The zero value is not valid; [New] and [Limit.Validate] say why.
type Limit struct {
	// Name identifies the limit in Redis keys, in HTTP headers and in errors: 1 to 64 bytes of printable
	// ASCII. Each key has one log for a name. So a limit with a Name keeps its log when Max or Window
	// change, and limiters over one store that use the same name share their quota. Defaults to Max and
	// Window in the form "100-per-15m".
	//
	// Limits of one name may have different Windows, as during a deployment or with plans. Each counts by
	// its own Window. The log keeps hits for the longest Window with which a call was allowed in the last
	// such Window.
	Name string

	// Max is how many units are allowed in any Window: 0 to 999,999,999,999,999.
	// 0 refuses every call. A store keeps one entry for each allowed call of the last Window, so a log
	// has at most Max entries. For a large Max see Resolution and [Limit.LogBytes].
	Max int64

	// Window is how long a unit counts after it was allowed: 1ms to 87600h (ten
	// years), in whole microseconds.
	Window time.Duration

	// Resolution makes the log small if Max is large. All calls of one Resolution share an entry, so a log
	// has at most Window / Resolution + 1 entries. Units count until one Window after the end of their
	// Resolution. So no Window ever holds more than Max, and a unit comes back late by less than one
	// Resolution. RetryAfter, ReplenishAfter and the places of Reserve are exact for that log.
	//
	// It is 0, or 1ms to Window in whole microseconds, and Window is a multiple of it. A log takes the
	// fewest bytes if a Window has at most 120 of them. Limits of one name may differ in it. Defaults to
	// 0: each call has an entry of its own.
	//
	// Refund or settle a Decision on such a limit only once. A second time can take the units of other
	// calls that share the entry.
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

// Validate returns a [*LimitError] for each field that is out of range, joined by [errors.Join], or nil
// if [New] takes the Limit. Each of them matches [ErrInvalidLimit]. An empty Name is valid: it stands
// for the default.
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

// LogBytes returns how many bytes the log of one key can take in Redis, without its name. 10 million
// calls a day can take 1.6 GB without a Resolution, and 16 KB with one of 15 minutes. It counts the
// entries of allowed calls only. Places of [Limiter.Reserve] ahead of the clock, units taken ahead, and
// what [Limiter.Charge] counts above Max are not in it.
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

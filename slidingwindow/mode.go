package slidingwindow

import "fmt"

// Mode says what a [Limiter] does with calls. The zero value is [ModeEnforce]. Its text form,
// as in a file of settings, is "enforce", "shadow" or "off".
type Mode uint8

const (
	// ModeEnforce refuses calls that do not fit. A new Limiter has this mode.
	ModeEnforce Mode = iota

	// ModeShadow refuses no call: it shows what a new limit would do. The store decides and counts as in
	// ModeEnforce. A call that the store refuses is allowed with [ReasonShadow]. It took nothing, and its
	// RetryAfter tells how long it would have had to wait. Errors are returned as in ModeEnforce.
	ModeShadow

	// ModeOff allows every valid call without asking the store, and counts nothing. Use it when a limit
	// does harm. Decisions have [ReasonOff] and no Statuses. Refund, Settle and Reset still work.
	ModeOff
)

var modeNames = [...]string{ModeEnforce: "enforce", ModeShadow: "shadow", ModeOff: "off"}

// String returns the text form, or "Mode(7)" for a value that is no Mode.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// MarshalText implements [encoding.TextMarshaler]. A value that is no Mode is an error that
// matches [ErrInvalidConfig].
func (m Mode) MarshalText() ([]byte, error) {
	if int(m) < len(modeNames) {
		return []byte(m.String()), nil
	}
	return nil, fmt.Errorf("%w: mode is %v; allowed: enforce, shadow, off", ErrInvalidConfig, m)
}

// UnmarshalText implements [encoding.TextUnmarshaler]. A text that names no Mode is an error
// that matches [ErrInvalidConfig], and m keeps its value.
func (m *Mode) UnmarshalText(text []byte) error {
	for mode, name := range modeNames {
		if string(text) == name {
			*m = Mode(mode)
			return nil
		}
	}
	return fmt.Errorf("%w: mode is %s; allowed: enforce, shadow, off", ErrInvalidConfig, quoteShort(string(text)))
}

// SetMode sets the mode of the limiter, and of those that share it through [Limiter.WithLimits], at once
// and in this process only. A value that is no Mode stands for [ModeEnforce].
func (l *Limiter) SetMode(mode Mode) {
	if l.mode == nil {
		return // not made with New: no call of it is decided
	}
	if int(mode) >= len(modeNames) {
		mode = ModeEnforce
	}
	l.mode.Store(uint32(mode))
}

// Mode returns the mode of the limiter.
func (l *Limiter) Mode() Mode {
	if l.mode == nil {
		return ModeEnforce
	}
	return Mode(l.mode.Load())
}

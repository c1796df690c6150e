package slidingwindow

import "sync/atomic"

// switches change what a limiter does while it is in use. Limiters made by With share
// those of the one they were made from.
type switches struct {
	disabled atomic.Bool
	shadow   atomic.Bool
}

// SetEnabled switches the limiter off and on again, at once and in this process only: the
// way out when a limit turns out to do harm. A limiter that is off allows every valid call
// without asking the store and counts nothing; its Decisions have [ReasonOff] and
// no Statuses. Refund and Reset work as ever. A new limiter is on.
func (l *Limiter) SetEnabled(on bool) {
	if l.switches != nil {
		l.switches.disabled.Store(!on)
	}
}

// Enabled reports whether the limiter is on.
func (l *Limiter) Enabled() bool { return l.switches == nil || !l.switches.disabled.Load() }

// SetShadow makes the limiter refuse no call, or refuse again, in this process only: to
// learn what a new limit would do before it does it. In shadow mode the store is asked and
// counts as ever. A call that it refuses is allowed all the same, with
// [ReasonShadow]: it took nothing, and its RetryAfter tells how long it would have had to
// wait. Errors are not hidden. A new limiter is not in shadow mode.
func (l *Limiter) SetShadow(on bool) {
	if l.switches != nil {
		l.switches.shadow.Store(on)
	}
}

// Shadow reports whether the limiter is in shadow mode.
func (l *Limiter) Shadow() bool { return l.switches != nil && l.switches.shadow.Load() }

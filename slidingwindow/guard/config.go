package guard

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Policy says what a [Store] does with a call that the guarded store cannot decide.
type Policy string

const (
	// Closed returns the error, which matches [slidingwindow.ErrStoreUnavailable]. The call
	// is not decided: echomw answers 503.
	Closed Policy = "closed"

	// Open allows the call, with [slidingwindow.ReasonFailOpen] and nothing counted.
	Open Policy = "open"

	// Fallback lets another store decide, with [slidingwindow.ReasonFallback].
	Fallback Policy = "fallback"
)

// Config has the settings of a [Store]. The zero value is valid.
type Config struct {
	// OnFailure says what becomes of a call that the store cannot decide. "" stands for the
	// default. Defaults to Closed.
	OnFailure Policy

	// Fallback decides in the store's place: a memory store of this process, or a
	// [slidingwindow.RedisStore] over another server. It must not be a guarded store. The
	// policy Fallback requires it; with another policy it is an error.
	Fallback slidingwindow.Store

	// Instances is how many processes fall back at the same time, 1 or more. Each gives
	// an equal share of every Max, rounded down, so that together they allow no more than
	// one store would. A process refuses what is more than its share. So a Max below Instances
	// refuses every call in an outage; a warning tells of each such limit, once. To set Instances
	// with another policy than Fallback is an error. 0 stands for the default, a negative value is
	// an error. Defaults to 1: each process gives the full Max.
	Instances int

	// Logger gets a record when an outage begins (Warn) and when it ends (Info), once each
	// for each part of the store. It gets one more (Error) when Redis gives another reason
	// meanwhile. Rejected calls and a Max below Instances are logged at Warn, too. nil stands
	// for slog.Default() at that time.
	Logger *slog.Logger
}

// check returns every mistake in what New is given.
func (c *Config) check(store slidingwindow.Store) error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{slidingwindow.ErrInvalidConfig}, args...)...))
	}
	if isNil(store) {
		fault("store is nil; make one with slidingwindow.NewRedisStore or memory.New")
	}
	switch c.OnFailure {
	case Fallback:
		if isNil(c.Fallback) {
			fault("guard.Config.Fallback is nil; allowed: a store, such as a memory store, as OnFailure is %q", c.OnFailure)
		}
	case Closed, Open:
		if c.Fallback != nil {
			fault("guard.Config.Fallback is set; allowed: only with OnFailure %q, and it is %q", Fallback, c.OnFailure)
		}
		if c.Instances > 0 {
			fault("guard.Config.Instances is %d; allowed: only with OnFailure %q, and it is %q", c.Instances, Fallback, c.OnFailure)
		}
	default:
		fault("guard.Config.OnFailure is %.66q; allowed: %q, %q or %q", c.OnFailure, Closed, Open, Fallback)
	}
	if c.Instances < 0 {
		fault("guard.Config.Instances is %d; allowed: 1 or more processes (0 stands for the default of 1)", c.Instances)
	}
	// With two guards the Reason of a Decision would not tell who took the units, and a refund would
	// get lost.
	if holdsGuard(reflect.ValueOf(store), maxDepth) {
		fault("store is guarded already; allowed: a store that decides itself")
	}
	if holdsGuard(reflect.ValueOf(c.Fallback), maxDepth) {
		fault("guard.Config.Fallback is guarded; allowed: a store that decides itself")
	}
	return errors.Join(errs...)
}

// isNil reports whether store is nil or holds a nil pointer.
func isNil(store slidingwindow.Store) bool {
	v := reflect.ValueOf(store)
	return store == nil || v.Kind() == reflect.Pointer && v.IsNil()
}

var (
	storeType = reflect.TypeFor[slidingwindow.Store]()
	guardType = reflect.TypeFor[interface{ Policy() Policy }]()
)

const maxDepth = 10 // of stores within stores, which may go round in a circle

// holdsGuard reports whether v is a guarded store, has one embedded, such as a config.Store, or is
// a store that has one in a field, such as a decorator.
func holdsGuard(v reflect.Value, depth int) bool {
	for v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if depth == 0 || !v.IsValid() || !v.Type().Implements(storeType) {
		return false
	}
	if v.Type().Implements(guardType) {
		return true
	}
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return false
	}
	for i := range v.NumField() {
		if holdsGuard(v.Field(i), depth-1) {
			return true
		}
	}
	return false
}

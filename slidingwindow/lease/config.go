package lease

import (
	"fmt"
	"reflect"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	defaultFor = 50 * time.Millisecond
	minFor     = time.Millisecond

	// A lease takes this part of a Window, if that is less than defaultFor. So 95% or more of every
	// Max can be used.
	defaultShare = 20
)

// Config has the settings of a [Store]. The zero value is valid.
type Config struct {
	// For is how long the process may use units that it took ahead: 1ms to the shortest Window of the
	// limits. Units count for up to that time longer than a Window, so a key whose quota is used up
	// gets at least Window / (Window + For) of it. A lease may outlive a Reset by that time, and
	// Remaining may be that old. 0 stands for the default. Defaults to 50ms, or to a twentieth of the
	// shortest Window if that is less.
	For time.Duration
}

func (c *Config) check(store slidingwindow.Store) error {
	if v := reflect.ValueOf(store); store == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("%w: store is nil; make one with slidingwindow.NewRedisStore or memory.New", slidingwindow.ErrInvalidConfig)
	}
	if c.For != 0 && c.For < minFor {
		return fmt.Errorf("%w: lease.Config.For is %v; allowed: %v to the shortest Window of the limits (0s stands for the default of %v, or a twentieth of that Window)",
			slidingwindow.ErrInvalidConfig, c.For, minFor, defaultFor)
	}
	return nil
}

// CheckLimits implements [slidingwindow.LimitChecker].
func (s *Store) CheckLimits(limits []slidingwindow.Limit) error {
	for i := range limits {
		if s.config.For > limits[i].Window {
			return fmt.Errorf("%w: lease.Config.For is %v; allowed: at most %v, the Window of limit %.66q",
				slidingwindow.ErrInvalidConfig, s.config.For, limits[i].Window, limits[i].Name)
		}
	}
	return nil
}

// length is how long units of the limits are lent for, in ns; 0 if they are not.
func (s *Store) length(limits []slidingwindow.Limit) int64 {
	shortest := limits[0].Window
	for i := range limits {
		shortest = min(shortest, limits[i].Window)
	}
	length := s.config.For
	if length == 0 {
		length = min(defaultFor, shortest/defaultShare)
	}
	if length < minFor || length > shortest {
		return 0
	}
	return int64(length)
}

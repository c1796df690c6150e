package httplimit

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// Config is the Config of an adapter, which documents the fields.
type Config[C any] struct {
	Skipper       func(c C) bool
	SkipPreflight bool

	Limiter *slidingwindow.Limiter
	Key     Keyer[C]
	Cost    func(c C) (int64, error)
	Costs   func(c C) (slidingwindow.Cost, error)
	Limits  func(c C) ([]slidingwindow.Limit, error)

	SkipFailed     bool
	SkipSuccessful bool
	CountIf        func(c C, err error) bool

	Headers       Headers
	Units         map[string]string
	ShadowHeaders bool

	Status       StatusCodes
	Message      any // a MessageFunc[C] or a value
	DrainRefused int64

	RefusalHandler func(c C, d slidingwindow.Decision) error
	ErrorHandler   func(c C, err error) error
	OnFirstRefusal func(c C, d slidingwindow.Decision)
	OnNearLimit    func(c C, near slidingwindow.Status)
	NearLimit      float64
	Logger         *slog.Logger
}

// StatusCodes are the HTTP statuses of the responses to requests that are not passed on:
// each is 400 to 599, and 0 stands for its default.
type StatusCodes struct {
	Refused int
	NoKey   int
	Failed  int
	Left    int
}

// OrDefault replaces zeros by the defaults.
func (s StatusCodes) OrDefault() StatusCodes {
	for _, status := range []struct {
		code      *int
		byDefault int
	}{
		{&s.Refused, http.StatusTooManyRequests},
		{&s.NoKey, http.StatusForbidden},
		{&s.Failed, http.StatusServiceUnavailable},
		{&s.Left, StatusClientLeft},
	} {
		if *status.code == 0 {
			*status.code = status.byDefault
		}
	}
	return s
}

func (config Config[C]) withDefaults(f *Framework[C]) Config[C] {
	if config.Key == nil {
		config.Key = f.KeyByIP(DefaultIPv6Prefix)
	}
	config.Headers = config.Headers.orDefault()
	config.Status = config.Status.OrDefault()
	config.Units = maps.Clone(config.Units)
	if config.NearLimit == 0 {
		config.NearLimit = DefaultNearLimit
	}
	return config
}

// validate reports all faults.
func (config Config[C]) validate() error {
	var errs []error
	for _, faults := range []faults{
		config.limiterFaults(), faultsIn(config.Key), config.headersFaults(), config.statusFaults(), config.countingFaults(), config.nearFaults(),
	} {
		errs = append(errs, faults.errors()...)
	}
	switch message, isFunc := config.Message.(MessageFunc[C]); {
	case isFunc && message == nil:
		errs = append(errs, &ConfigError{Field: "Config.Message", Given: "a MessageFunc that is nil", Allowed: "nil for the default body, or a function"})
	case !isFunc:
		if err := messageFault(config.Message); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (config Config[C]) limiterFaults() faults {
	const allowed = "a limiter from slidingwindow.New"
	switch {
	case config.Limiter == nil:
		return faults{{Field: "Config.Limiter", Given: "nil", Allowed: allowed}}
	case len(config.Limiter.Limits()) == 0:
		return faults{{Field: "Config.Limiter", Given: "one without limits", Allowed: allowed}}
	}
	return nil
}

func (config Config[C]) headersFaults() (all faults) {
	if text := config.Headers.fault(); text != "" {
		all = append(all, &ConfigError{Field: "Config.Headers", Given: strconv.Quote(config.Headers.String()) + ", which " + text, Allowed: allowedHeaders})
	}
	for _, name := range slices.Sorted(maps.Keys(config.Units)) {
		unit := config.Units[name]
		if !isUnit(unit) {
			all = append(all, &ConfigError{Field: "Config.Units[" + shown(name, name) + "]", Given: shown(unit, unit), Allowed: allowedUnit})
		}
		if config.Limiter != nil && config.Limits == nil && !slices.ContainsFunc(config.Limiter.Limits(), func(limit slidingwindow.Limit) bool { return limit.Name == name }) {
			all = append(all, &ConfigError{Field: "Config.Units", Given: "with " + shown(name, name) + ", which is no limit of Limiter", Allowed: "names of its limits"})
		}
	}
	return all
}

func (config Config[C]) statusFaults() (all faults) {
	for _, status := range []struct {
		field string
		code  int
	}{
		{"Refused", config.Status.Refused}, {"NoKey", config.Status.NoKey}, {"Failed", config.Status.Failed},
		{"Left", config.Status.Left},
	} {
		if !isFailureStatus(status.code) {
			all = append(all, &ConfigError{Field: "Config.Status." + status.field, Given: strconv.Itoa(status.code), Allowed: "400 to 599 (0 stands for the default)"})
		}
	}
	if config.DrainRefused < 0 {
		all = append(all, &ConfigError{Field: "Config.DrainRefused", Given: strconv.FormatInt(config.DrainRefused, 10), Allowed: "0 or more bytes"})
	}
	return all
}

func (config Config[C]) countingFaults() (all faults) {
	rules := 0
	for _, set := range []bool{config.SkipFailed, config.SkipSuccessful, config.CountIf != nil} {
		if set {
			rules++
		}
	}
	if rules > 1 {
		all = append(all, &ConfigError{Field: "Config", Given: fmt.Sprintf("with %d of SkipFailed, SkipSuccessful and CountIf", rules), Allowed: "at most one of them"})
	}
	if config.Cost != nil && config.Costs != nil {
		all = append(all, &ConfigError{Field: "Config", Given: "with Cost and Costs", Allowed: "at most one of them"})
	}
	return all
}

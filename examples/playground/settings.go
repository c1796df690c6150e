package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// settings are what the page's form chooses.
type settings struct {
	Max      int64 `json:"max"`
	WindowMS int64 `json:"windowMs"`
	Cost     int64 `json:"cost"`
}

var defaultSettings = settings{Max: 10, WindowMS: 10_000, Cost: 1}

// What a browser can draw and a person can watch.
const (
	mostMax                     = 100
	leastWindowMS, mostWindowMS = 1_000, 60_000
)

// validate reports every field that is out of range.
func (s settings) validate() error {
	var errs []error
	for _, field := range []struct {
		name               string
		given, least, most int64
	}{
		{"max", s.Max, 1, mostMax},
		{"windowMs", s.WindowMS, leastWindowMS, mostWindowMS},
		{"cost", s.Cost, 1, max(1, min(s.Max, mostMax))},
	} {
		if field.given < field.least || field.given > field.most {
			errs = append(errs, fmt.Errorf("%s is %d; allowed: %d to %d", field.name, field.given, field.least, field.most))
		}
	}
	return errors.Join(errs...)
}

func (s settings) window() time.Duration { return time.Duration(s.WindowMS) * time.Millisecond }

func (s settings) limit() slidingwindow.Limit {
	return slidingwindow.Limit{Name: "playground", Max: s.Max, Window: s.window()}
}

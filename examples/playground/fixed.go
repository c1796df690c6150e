package main

import "time"

// fixedWindow is the counter that is shown beside the log, to be compared with: it begins with a
// request, and is forgotten a Window later. Nobody should limit with it.
type fixedWindow struct {
	ends time.Time
	used int64
}

// take asks for the cost, and takes it if it fits.
func (f *fixedWindow) take(now time.Time, s settings) bool {
	if !now.Before(f.ends) {
		f.ends, f.used = now.Add(s.window()), 0
	}
	if f.used+s.Cost > s.Max {
		return false
	}
	f.used += s.Cost
	return true
}

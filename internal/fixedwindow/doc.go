// Package fixedwindow is the limiter that slidingwindow replaces, on the same client: one
// counter for each key and limit, which begins with a call and expires a Window later. It is
// there to be compared with, by benchmarks and by tests, so that the cost of an algorithm can
// be told from that of its plumbing. Nobody should limit with it: up to twice Max units pass
// within one Window around the end of a counter.
package fixedwindow

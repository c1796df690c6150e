// Command benchmark compares the stores of slidingwindow with the limiters that Go programs
// use today, on one machine and one private Redis, and writes tables and plots of it into
// internal/benchmark/results: "make bench". It is a module of its own, so that what it compares
// with is in no user's module graph.
//
// Only relations within one run mean something. The contestants take turns, in rounds of short
// measurements, so that what else the machine does hits all of them; each figure is the median of
// its rounds. Each row tells how many calls were admitted, and how many its algorithm may
// admit: a limiter that does not limit is fast.
//
//	-short    one short round of everything, to see that it works
//	-long     more and longer rounds, and a million keys
//	-rounds, -cell    how many rounds, and how long each measurement
//	-only     parts to run: calls, growth, processes, memory, stores, accuracy
//	-out      where the results go; "" to print only
package main

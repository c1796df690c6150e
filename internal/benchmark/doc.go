// Command benchmark compares the stores of slidingwindow with the limiters that Go programs
// use today, on one machine and one private Redis, and writes tables and plots of it into
// internal/benchmark/results: "make bench". It is a module of its own, so that what it compares
// with is in no user's module graph.
//
// Only relations within one run mean something. The contestants take turns, in rounds of short
// measurements, so that what else the machine does hits all of them; each figure is the median of
// its rounds. Each row tells how many calls were admitted, and how many its algorithm may
// admit: a limiter that does not limit is fast. A last table tells which of the targets for
// ours were met.
//
// All of it takes about 20 minutes where nothing else runs, with -rounds 3 about 13, and with -short
// one or two; the results say how long each part took. The parts:
//
//	calls         one limit, one unit a call: logs that fill, a hot key, refusals
//	leases        a hot key, and a thousand tenants of whom some are much busier, with leases and without
//	steady        the same where hits leave the window as others come
//	limits        two limits, filling and steady
//	costs         3 units a call, filling and steady
//	oneprocessor  one limit, with GOMAXPROCS=1
//	cluster       a Redis Cluster of 3 nodes
//	distance      Redis 0, 1, 5 and 20 ms away: an open loop, in which calls come by chance
//	echo          a whole Echo app under HTTP load
//	growth        with the hits in a log, and with the number of keys
//	processes     with the number of processes that share a quota
//	memory        what a key takes in Redis
//	stores        the stores in memory
//	accuracy      who lets too much through, simulated
//
// The flags:
//
//	-short       one short round of everything, to see that it works
//	-long        more and longer rounds, all limiters in all rows, and a million keys
//	-rounds, -cell    how many rounds, and how long each measurement
//	-only        parts to run: -only steady,costs
//	-row         rows to run, named as their files: -row steady-c64,echo-c4
//	-cpuprofile  a file for what uses the processor in our store alone, in the one row that
//	             -row names: -row steady-c64 -cpuprofile cpu.out; that of the row's process where
//	             it has one of its own (allowed-c64-cpu1, echo)
//	-out         where the results go; "" to print only
package main

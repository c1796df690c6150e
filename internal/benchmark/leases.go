package main

import "time"

// The rows with leases.
const (
	leasedHotRow  = "leased-hot-c64"
	leasedZipfRow = "leased-zipf-c64"
)

// withLeases tells what leases change, against ours without them and a command a call. They begin
// before the measurement, as those of a process that runs for long.
func withLeases(*bench) []scenario {
	limit := one(quota{Max: hotLimit, Window: time.Minute})
	const begun = "Measured after 200 ms of the same, so that leases have begun."
	return []scenario{
		{
			file: leasedHotRow, title: "Leases: one hot key, all allowed: 10,000,000 a minute, 64 concurrent callers", note: begun,
			work:        work{Demand: limit, Keys: 1, Callers: 64, Settle: 200 * time.Millisecond},
			contestants: []contestant{leased(), ours(), rawINCR()},
		},
		{
			file: leasedZipfRow, title: "Leases: 1,000 tenants, the one of rank r with 1/r of the calls, all allowed, 64 concurrent callers",
			note:        begun + " A few tenants make most of the calls; the others are too quiet for leases.",
			work:        work{Demand: limit, Keys: 1000, Callers: 64, Zipf: true, Settle: 200 * time.Millisecond},
			contestants: []contestant{leased(), ours(), rawINCR()},
		},
	}
}

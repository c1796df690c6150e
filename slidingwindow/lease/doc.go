// Package lease has a slidingwindow.Store that takes units of busy keys ahead from another store and
// decides their calls in the process. It needs a hundredth of the commands, and is still exact.
//
// A process that is busy with a key takes as many units at once as it will use in the next 50 ms or
// less (Config.For), in one entry of the log, dated at the end of that time. Until then its calls are
// decided from these units. The units of a lease count for everybody from its beginning, and leave a
// Window after its end. So no window ever holds more than Max, in any number of processes. A lease
// gives back unused units at its end. A process that uses less gets less. A key with fewer than about
// eight calls in 50 ms costs what it costs without leases.
//
// # What it costs
//
// If a quota is used up, For / (Window + For) of it cannot be used: 0.1% with a Window of a minute, at
// most 5% with a second. Other processes cannot use the units of a lease until it ends. When a process
// is killed, the units of its leases count until a Window after the end of the lease.
//
// # What changes
//
//   - Remaining is what the store told at the beginning of the lease, less what this process has used
//     since. It may be as old as For, and lacks what other processes took in that time. If nothing is
//     left in the store, it is what is left of the lease.
//   - RetryAfter is the store's. It counts the units of other processes' leases as used. So it may be
//     too long, if they give units back, but never too short.
//   - Reset ends the leases of its own process. Another process may use what it has until its lease ends.
//   - Wait and Reserve get units of a lease at once, if it has any, before others in line. Otherwise
//     their place is not before the end of the leases that exist.
//   - A Refund or a Settle of a call that a lease decided goes back to the lease, and after
//     its end to the store. It must be made in the process of the call. A process remembers the last
//     8,192 leases. A call of an older lease cannot be settled, and counts as it was taken.
//   - AllowCost, and calls for more units than the lease has, go to the store. The store does not refuse
//     them because of this process's leases: those are given back first.
//   - A call waits for the store only when nothing is left, and not for longer than a call without
//     leases does. In an outage a process uses its leases until they end.
//
// Put it over a guarded store (package guard), not under it: leases are for some limiters, and the guard is
// for the server.
//
// A lease ends on the monotonic clock of the process, counted from before the store was asked. Each call
// checks it right before it is decided. A process that is stopped after that, and goes on later, acts on
// an old decision, as it would without leases.
package lease

// Package lease has a slidingwindow.Store that takes units of busy keys ahead from another store and
// decides their calls in the process: a hundredth of the commands, and still exact.
//
// A process that is busy with a key takes as many units at once as it will use in the next
// 50 ms or less (Config.For), in one entry of the log, dated at the end of that time. Until then its calls
// are decided from these units. Units that are lent count for everybody from the
// beginning, and leave a Window after the end; so no window ever holds more than Max, in any number of
// processes. What a lease did not use is given back at its end. How much is lent follows what
// is used: a process that takes less gets less, and a key with fewer than about eight calls in 50 ms costs what it costs
// without leases.
//
// # What it costs
//
// Of a quota that is used up, For / (Window + For) cannot be used: 0.1% at a minute, at most
// 5% at a second. Units that one process has lent are missing to others until it uses them or
// its lease ends. What a process has when it is killed counts until a Window after the end of its
// lease.
//
// # What changes
//
//   - Remaining is what the store told when it lent, less what this process has used since: it may be
//     as old as For, and lacks what other processes took in that time. With nothing left
//     in the store it is what is left of the lease.
//   - RetryAfter is the store's. It counts what others have lent as used, so it may be too
//     long, if they give that back, and is never too short.
//   - Reset ends the leases of its own process. Another process may use what it has until its lease ends.
//   - Wait and Reserve are given units of a lease at once, if there are any, before others in line.
//     Without, their place is not before the end of the leases that there are.
//   - A Refund or a Settle of a call that a lease decided goes back to the lease, and after
//     its end to the store. It must be made in the process of the call. A process remembers the last
//     8,192 leases; what is settled later counts as it was taken.
//   - AllowCost, and calls of more units than there are, go to the store. What the process has lent does
//     not make it refuse: that is given back first.
//   - A call waits for the store only when nothing is left, and not for longer than a call
//     without leases does. In an outage what the process has lent is used until its lease ends.
//
// Put it over a guarded store (package guard), not under it: leases are for some limiters, and the guard is
// for the server.
//
// A lease ends on the monotonic clock of the process, counted from before the store was asked, and each call
// looks at it right before it is decided. A process that is stopped after that, and goes on
// later, acts on an old decision, as it would without leases.
package lease

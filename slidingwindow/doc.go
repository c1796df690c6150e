// Package slidingwindow limits how much a key may use in any window of time: exactly, and across all
// processes that share a store.
//
// # Algorithm
//
// For each key and [Limit] the store keeps a sliding log: the time and the units of every call that it
// allowed. A call of cost n at time t is allowed if, and only if, n and the units that the log has
// after t-Window do not exceed Max together. So a hit counts for exactly one Window, and no interval of
// that length ever holds more than Max units. A fixed window lets a client use twice its quota around
// the edge of two windows, and a weighted counter estimates. A sliding log does neither.
//
// A refused call is not logged. A client that retries too often is let in as soon as its oldest hit
// leaves the window.
//
// # Waiting and settling
//
// A hit may lie ahead of the clock: it is the place in line of a caller who waits ([Limiter.Wait],
// [Limiter.Reserve]). It counts for everybody at once, so nobody overtakes, and it leaves one Window
// after its own time. [Limiter.Settle] replaces the units of a call when the caller knows what it used.
// Another process can do that: [Decision.MarshalText] makes a text of a Decision.
//
// # Stores
//
// [RedisStore] shares its logs between all processes. Each log is a sorted set in Redis. One Lua script
// reads and writes it in one round trip, on the clock of the Redis server. The Store of package memory
// keeps the same promises within one process. The Store of package guard answers calls while another
// store is unavailable, and that of package lease decides calls of busy keys in the process. For a
// store of your own see [Store].
//
// # Clocks
//
// A store decides on its own clock (TIME of Redis, or the monotonic clock of the process), never on
// the clock of the caller. So instances whose clocks differ agree.
//
// A hit can lie ahead of the clock for three more reasons: the clock was set back, another hit of the
// same log and as many units has its microsecond and Redis wrote it a microsecond later, or the limit
// has a Resolution. Such a hit counts for every call and leaves one Window after its own time. Other
// hits leave in their own time. So Max holds even when the clock is set back, and a key is refused for
// longer than it would have been by at most the step of the clock. A clock that leaps forward ages the
// hits by that leap.
//
// # Failures
//
// A refusal is a value: Allowed of the [Decision] is false, and the error is nil. An error means that no
// decision was made. Every error matches, with [errors.Is], an Err value of this package or the error
// of the caller's context.
//
// All exported functions and methods are safe for concurrent use.
package slidingwindow

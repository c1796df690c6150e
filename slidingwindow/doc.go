// Package slidingwindow limits how much of something a key may use in any
// window of time, exactly, across every process that shares a store.
//
// # Algorithm
//
// For each key and [Limit] the store keeps a sliding log: the time and the cost
// of every call it allowed. A call of cost n at time t is allowed if, and only
// if, the units logged in the half-open interval (t-Window, t], those ahead of t, and n do not
// exceed Max together. A hit therefore counts for exactly one Window, and in any interval
// of that length no more than Max units are ever allowed: there is no edge
// between windows at which a client could get twice its quota (as with a fixed
// window), and no estimate (as with a weighted counter).
//
// A refused call is not logged. A client that retries too eagerly is let in as
// soon as its oldest hit leaves the window, however often it asked in between.
//
// # Waiting and settling
//
// An entry of a log may lie ahead of the clock: it is the place in line of a caller who waits
// ([Limiter.Wait], [Limiter.Reserve]). It counts for everybody at once, so nobody overtakes, and
// leaves a Window after its own time. The units of an entry can be replaced afterwards, when it is known
// what was used ([Limiter.Settle]), also by another process: a [Decision] can be sent there as a
// text.
//
// # Stores
//
// [RedisStore] shares one log between all processes: a sorted set in Redis, read
// and written by one Lua script in one round trip, on the clock of the Redis
// server. The Store of package memory keeps the same promises within one process. That of
// package guard says what becomes of calls while another store is unavailable.
//
// # Clocks
//
// A store decides on its own clock (Redis's TIME, or the process's monotonic
// clock), never on the caller's, so instances whose clocks differ agree. A hit may lie ahead
// of the clock: if that was set back, or if its microsecond was taken and Redis wrote it one
// microsecond later. Such a hit counts for every call, and leaves one Window after its own time; others
// leave in their own time. So if the clock is set back, Max still holds, and a key stays refused
// longer than its window by no more than the step. A clock that leaps forward ages the log by
// that leap.
//
// # Failures
//
// A refusal is a value: [Decision].Allowed is false and the error is nil. An error
// means that no decision was made; every error matches, with [errors.Is], one of
// this package's Err values or the error of the caller's context.
//
// All exported functions and methods are safe for concurrent use.
package slidingwindow

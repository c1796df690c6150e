// Command instructions counts what a decision costs redis-server in instructions: decide.lua runs in
// a redis-server that runs in valgrind's callgrind. The figures are the same on any day, within
// about one percent, and on a busy machine.
//
//	make instructions           count, and write the table of internal/instructions/results.md
//	make instructions CHECK=1   count, and fail if a row grew by more than 5% over that table
//
// Each decision is one of a log of its own, which holds nine hits of the last window. In steady
// state there is one hit more, which has left the window. The verbs of a Limiter go the library's own
// way to Redis, one call after the other, each on a log of its own of nine hits. So does the row of
// rueidislimiter, a fixed window, for comparison. A module of its own keeps that from users.
package main

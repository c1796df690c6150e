// Package rediscontainer runs Redis in a container, where a Docker engine answers, by
// Testcontainers. It is apart from redistest so that only this repository's own programs
// and integration tests depend on it: what the tests of slidingwindow, echomw and config
// import ends up in the go.sum of every user.
package rediscontainer

// Package rediscontainer runs Redis in a container, where a Docker engine answers, by
// Testcontainers. It is apart from redistest so that only this module depends on it: what
// the tests of slidingwindow, echomw and config import, every user inherits.
package rediscontainer

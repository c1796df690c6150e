// Package redisserver runs private Redis servers from the redis-server program: for
// tests, the demo and benchmarks. They listen on 127.0.0.1 only, keep nothing on disk
// after they stop, and never touch a server that runs already.
package redisserver

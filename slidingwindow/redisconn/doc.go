// Package redisconn makes connections for a rueidis client of your own that end by themselves
// when they are of no use any more. Package config makes its connections with it; you need it
// only if you call rueidis.NewClient yourself:
//
//	client, err := rueidis.NewClient(rueidis.ClientOption{
//		InitAddress: []string{"localhost:6379"},
//		DialCtxFn:   redisconn.Dial,
//	})
//
// # A message that nobody asked for
//
// A server, or a proxy before it, can send what no command asked for: a Redis that has as many
// clients as it may have, or that is in protected mode, answers and hangs up before it was
// asked. rueidis (v1.0.79) panics when it reads such a message between two replies, in a
// goroutine of its own, and so ends the process. A connection of this package fails instead,
// with [ErrProtocol]. It fails for every message without a request, and for every byte that is not
// in the protocol. It cannot detect a message that comes while a reply is awaited, because that
// looks like the reply.
//
// # A connection to the wrong server
//
// When a name or an address moves to another server, open connections stay at the old one. That is
// often a replica by then, and refuses every write for as long as the connection lives. So a
// connection of this package ends with [ErrWrongServer] when the server answers READONLY,
// MASTERDOWN, LOADING or NOREPLICAS. The client then dials again, and finds the server that the
// name now leads to. After NOPERM a connection ends only if the server answered nothing else for a
// second: a right may be missing for one command only. No connection ends like this in its first
// second, so that a server that keeps refusing is dialled once a second. Each connection judges
// for itself: in a Cluster only those of that node end.
//
// An old master that was not demoted refuses nothing. Bound the lifetime of connections, so that
// the client leaves it after that time. ClientOption.ConnLifetime bounds the connection that all
// commands share. slidingwindow.RedisConfig.ConnectionLifetime bounds the others, which a store
// uses for one command or batch at a time.
//
// # A connection that has ended meanwhile
//
// If the server has closed a connection while it was not used, or if the connection is too old, a
// command on it fails with [ErrNotSent] before any of it is sent. A slidingwindow.RedisStore sends
// it again on another connection.
package redisconn

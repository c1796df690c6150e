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
// with [ErrProtocol]. It does so for every message without a request, and for every byte that
// is not of the protocol. What it cannot find out is a message that comes while a reply is
// awaited, as that looks like the reply.
//
// # A connection to the wrong server
//
// When a name or an address moves to another server, connections that are open stay at the
// old one. That is often a replica by then, and refuses every write, for as long as the
// connection lives. So a connection of this package ends with [ErrWrongServer] when the server
// answers READONLY, MASTERDOWN, LOADING or NOREPLICAS, and the client dials again: that finds
// the server that the name now leads to. After NOPERM it does so
// if nothing else was answered for a second: a right may be missing for one command only. It
// does neither in its first second, so that a server that goes on refusing is dialled once a
// second. Each connection judges for itself: in a Cluster only those of that node end.
//
// An old master that was not demoted refuses nothing. Bound the life of connections, so that the
// client leaves it after that time: ClientOption.ConnLifetime does for the connection that all
// commands share, and slidingwindow.RedisConfig.ConnectionLifetime for those that a store uses one at a
// time.
//
// # A connection that has ended meanwhile
//
// A command on a connection that the server has closed while it was not used, or that is too old,
// fails with [ErrNotSent] before anything of it is sent. A slidingwindow.RedisStore sends it again on another one.
package redisconn

package redisserver

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
)

// StartReplica runs a server that copies another one, and waits until it has. The caller
// must Stop it.
func StartReplica(ctx context.Context, master *Server, args ...string) (*Server, error) {
	replica, err := Start(ctx, append([]string{"--replicaof", "127.0.0.1 " + strconv.Itoa(master.port)}, args...)...)
	if err != nil {
		return nil, err
	}
	if err := master.AwaitReplicas(ctx, 1); err != nil {
		return nil, errors.Join(err, replica.Stop())
	}
	return replica, nil
}

// AwaitReplicas waits until the server sends what it writes to n replicas.
func (s *Server) AwaitReplicas(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return s.await(ctx, func(info string) bool { return strings.Count(info, "state=online") >= n }, "info", "replication")
}

// Follow makes the server a replica of another one, and Lead makes it a master.
func (s *Server) Follow(ctx context.Context, master *Server) error {
	host, port, _ := net.SplitHostPort(master.Addr())
	_, err := s.Do(ctx, "replicaof", host, port)
	return err
}

// Lead makes the server a master that takes writes.
func (s *Server) Lead(ctx context.Context) error {
	_, err := s.Do(ctx, "replicaof", "no", "one")
	return err
}

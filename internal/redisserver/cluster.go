package redisserver

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

// Cluster is a Redis Cluster of master nodes without replicas.
type Cluster struct {
	Nodes []*Server
}

// StartCluster runs a cluster of n nodes, 3 or more, and waits until every node sees
// all slots served. It needs redis-cli, which comes with redis-server. The caller must
// Stop it.
func StartCluster(ctx context.Context, n int) (_ *Cluster, err error) {
	c := &Cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	for range n {
		node, err := startNode(ctx)
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, node)
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	create := append([]string{"--cluster", "create"}, c.Addrs()...)
	if out, err := exec.CommandContext(ctx, "redis-cli", append(create, "--cluster-replicas", "0", "--cluster-yes")...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("redisserver: redis-cli --cluster create: %w: %s", err, out)
	}
	for _, node := range c.Nodes {
		if err := node.awaitCluster(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// startNode starts one cluster node. Its bus port is the system's choice too, since
// the default, port + 10000, may be taken or above 65535.
func startNode(ctx context.Context) (*Server, error) {
	var errs []error
	for range startTries {
		bus, err := subprocess.FreePort()
		if err != nil {
			return nil, err
		}
		node, err := Start(ctx, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-port", fmt.Sprint(bus))
		if err == nil {
			return node, nil
		}
		errs = append(errs, err)
		if errors.Is(err, ErrNotInstalled) {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (s *Server) awaitCluster(ctx context.Context) error {
	for {
		out, err := exec.CommandContext(ctx, "redis-cli", "-p", fmt.Sprint(s.port), "cluster", "info").CombinedOutput()
		if err == nil && strings.Contains(string(out), "cluster_state:ok") {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redisserver: cluster node %s: %w: %s", s.Addr(), ctx.Err(), out)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Addrs are the nodes' addresses.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, node := range c.Nodes {
		addrs[i] = node.Addr()
	}
	return addrs
}

// Stop ends all nodes.
func (c *Cluster) Stop() error {
	var errs []error
	for _, node := range c.Nodes {
		errs = append(errs, node.Stop())
	}
	return errors.Join(errs...)
}

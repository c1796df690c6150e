package redisserver

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// Cluster is a Redis Cluster.
type Cluster struct {
	Nodes []*Server
}

// StartCluster runs a cluster of n master nodes, 3 or more, without replicas and with
// extra arguments, as in Start. It waits until every node sees all slots served. It needs
// redis-cli, which comes with redis-server. The caller must Stop it.
func StartCluster(ctx context.Context, n int, args ...string) (*Cluster, error) {
	return startCluster(ctx, n, 0, args)
}

// StartReplicatedCluster runs a cluster as StartCluster does, with one replica for each
// master besides.
func StartReplicatedCluster(ctx context.Context, masters int, args ...string) (*Cluster, error) {
	return startCluster(ctx, masters, 1, args)
}

func startCluster(ctx context.Context, masters, replicas int, args []string) (_ *Cluster, err error) {
	c := &Cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	for range masters * (1 + replicas) {
		node, err := Start(ctx, nodeArgs(args)...)
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, node)
	}
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	create := append([]string{"--cluster", "create"}, c.Addrs()...)
	if out, err := exec.CommandContext(ctx, c.Nodes[0].cli, append(create, "--cluster-replicas", strconv.Itoa(replicas), "--cluster-yes")...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("redisserver: redis-cli --cluster create: %w: %s", err, out)
	}
	for _, node := range c.Nodes {
		if err := node.awaitCluster(ctx); err != nil {
			return nil, err
		}
	}
	if replicas > 0 {
		err = errors.Join(c.awaitReplicas(ctx), c.promoteSoon(ctx))
	}
	return c, err
}

// nodeArgs are those of one cluster node. Its bus port is the system's choice too, since
// the default, port + 10000, may be taken or above 65535. The time after which it takes a
// silent node for dead outlasts a machine that stalls for seconds.
func nodeArgs(args []string) []string {
	return append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "15000", "--cluster-port", FreePort}, args...)
}

func (s *Server) awaitCluster(ctx context.Context) error {
	return s.await(ctx, func(info string) bool { return strings.Contains(info, "cluster_state:ok") }, "cluster", "info")
}

// promoteSoon shortens the time until a replica takes the place of a dead master.
func (c *Cluster) promoteSoon(ctx context.Context) error {
	for _, node := range c.Nodes {
		if _, err := node.Do(ctx, "config", "set", "cluster-node-timeout", "2000"); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) awaitReplicas(ctx context.Context) error {
	for _, node := range c.Nodes {
		if err := node.await(ctx, func(info string) bool {
			return strings.Contains(info, "state=online") || strings.Contains(info, "master_link_status:up")
		}, "info", "replication"); err != nil {
			return err
		}
	}
	return nil
}

// Addrs are the nodes' addresses.
func (c *Cluster) Addrs() []string { return addrs(c.Nodes) }

// Stop ends all nodes.
func (c *Cluster) Stop() error { return stop(c.Nodes) }

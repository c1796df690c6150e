package redisserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// MasterSet is the name under which the sentinels of a [Group] know its master.
const MasterSet = "mymaster"

// Group is a master and its replicas, watched by sentinels, which promote a replica when
// the master dies.
type Group struct {
	Nodes     []*Server // the first one is the master at the start
	Sentinels []*Server
}

// GroupConfig says what a [Group] is made of.
type GroupConfig struct {
	Replicas  int
	Sentinels int      // as many as half of them, rounded up, agree that the master is dead
	Args      []string // of the nodes, as in Start
	Lines     []string // of the sentinels' files, such as "requirepass secret"
}

// StartGroup runs a group. The sentinels take the master for dead when it has not answered
// for a second. The caller must Stop it.
func StartGroup(ctx context.Context, config GroupConfig) (_ *Group, err error) {
	g := &Group{}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Stop())
		}
	}()
	master, err := Start(ctx, config.Args...)
	if err != nil {
		return nil, err
	}
	g.Nodes = append(g.Nodes, master)
	for range config.Replicas {
		replica, err := Start(ctx, append([]string{"--replicaof", "127.0.0.1 " + strconv.Itoa(master.port)}, config.Args...)...)
		if err != nil {
			return nil, err
		}
		g.Nodes = append(g.Nodes, replica)
	}
	lines := append([]string{
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", MasterSet, master.port, (config.Sentinels+1)/2),
		"sentinel down-after-milliseconds " + MasterSet + " 1000",
		"sentinel failover-timeout " + MasterSet + " 2000",
	}, config.Lines...)
	for range config.Sentinels {
		sentinel, err := StartSentinel(ctx, lines...)
		if err != nil {
			return nil, err
		}
		g.Sentinels = append(g.Sentinels, sentinel)
	}
	return g, nil
}

// Settle waits until the replicas copy the master, and the sentinels know all of them and
// each other. The default user must be able to log in without a password.
func (g *Group) Settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	if err := g.Nodes[0].AwaitReplicas(ctx, len(g.Nodes)-1); err != nil {
		return err
	}
	for _, sentinel := range g.Sentinels {
		if err := sentinel.await(ctx, func(reply string) bool {
			known := strings.Fields(reply)
			return field(known, "num-slaves") == strconv.Itoa(len(g.Nodes)-1) &&
				field(known, "num-other-sentinels") == strconv.Itoa(len(g.Sentinels)-1)
		}, "sentinel", "master", MasterSet); err != nil {
			return err
		}
	}
	return nil
}

// field is what follows a name in a list of names and values.
func field(list []string, name string) string {
	for i := range len(list) - 1 {
		if list[i] == name {
			return list[i+1]
		}
	}
	return ""
}

// Master is the node that the sentinels take for the master now.
func (g *Group) Master(ctx context.Context) (*Server, error) {
	var errs []error
	for _, sentinel := range g.Sentinels {
		reply, err := sentinel.Do(ctx, "sentinel", "get-master-addr-by-name", MasterSet)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, node := range g.Nodes {
			if strings.Join(strings.Fields(reply), ":") == node.Addr() {
				return node, nil
			}
		}
	}
	return nil, fmt.Errorf("redisserver: the sentinels name no node of the group: %w", errors.Join(errs...))
}

// Addrs are the sentinels' addresses.
func (g *Group) Addrs() []string { return addrs(g.Sentinels) }

// Stop ends all of them.
func (g *Group) Stop() error { return errors.Join(stop(g.Sentinels), stop(g.Nodes)) }

// StartSentinel runs a sentinel with these lines in its file. The caller must Stop it.
func StartSentinel(ctx context.Context, lines ...string) (*Server, error) {
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("redisserver: %w", err), os.RemoveAll(dir))
	}
	s, err := start(ctx, dir, []string{file, "--sentinel"}, nil)
	if err != nil {
		return nil, err
	}
	// Else it does nothing for 30 seconds after the machine has stalled for two.
	if _, err = s.Do(ctx, "sentinel", "debug", "tilt-trigger", "3600000"); err != nil && !strings.Contains(err.Error(), "NOAUTH") {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func addrs(servers []*Server) []string {
	addrs := make([]string, len(servers))
	for i, server := range servers {
		addrs[i] = server.Addr()
	}
	return addrs
}

func stop(servers []*Server) error {
	var errs []error
	for _, server := range servers {
		errs = append(errs, server.Stop())
	}
	return errors.Join(errs...)
}

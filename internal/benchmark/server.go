package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

// server is the private Redis of a run, or the nodes of a Cluster, with connections to it that no
// contestant uses.
type server struct {
	place           // where contestants find it
	direct []string // where this program does
	nodes  []rueidis.Client
	end    func() error // of the processes
}

func startServer(ctx context.Context) (*server, error) {
	process, err := redisserver.Start(ctx)
	if err != nil {
		return nil, err
	}
	return control(place{Addrs: []string{process.Addr()}}, process.Stop)
}

func startCluster(ctx context.Context, nodes int) (*server, error) {
	processes, err := redisserver.StartCluster(ctx, nodes)
	if err != nil {
		return nil, err
	}
	return control(place{Addrs: processes.Addrs(), Cluster: true}, processes.Stop)
}

func control(at place, end func() error) (*server, error) {
	s := &server{place: at, direct: at.Addrs, end: end}
	for _, addr := range at.Addrs {
		node, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, ForceSingleClient: true})
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
		s.nodes = append(s.nodes, node)
	}
	return s, nil
}

func (s *server) stop() error {
	for _, node := range s.nodes {
		node.Close()
	}
	return s.end()
}

// do asks the first node.
func (s *server) do(ctx context.Context, command ...string) rueidis.RedisResult {
	return s.nodes[0].Do(ctx, s.nodes[0].B().Arbitrary(command...).Build())
}

// all has each node run a command.
func (s *server) all(ctx context.Context, command ...string) error {
	for _, node := range s.nodes {
		if err := node.Do(ctx, node.B().Arbitrary(command...).Build()).Error(); err != nil {
			return err
		}
	}
	return nil
}

// empty makes the server as good as new.
func (s *server) empty(ctx context.Context) error {
	if err := s.all(ctx, "FLUSHALL", "SYNC"); err != nil {
		return err
	}
	return s.resetStatistics(ctx)
}

func (s *server) resetStatistics(ctx context.Context) error { return s.all(ctx, "CONFIG", "RESETSTAT") }

// serverUse is what the server has done since its statistics were reset; its CPU time since
// it began. Those of a Cluster are of all nodes together.
type serverUse struct {
	cpu      time.Duration
	commands map[string]float64 // how often each ran, sent by clients or called by scripts
}

// Commands of connections that begin, and of this program, which are no part of a decision.
var notOfDecisions = map[string]bool{
	"info": true, "config|resetstat": true, "flushall": true, "monitor": true, "echo": true, "ping": true, "hello": true,
	"client|setinfo": true, "client|setname": true, "client|tracking": true, "client|maint_notifications": true, "auth": true, "select": true,
	"command": true, "cluster|slots": true, "cluster|shards": true, "cluster|nodes": true, "readonly": true,
}

func (s *server) use(ctx context.Context) (serverUse, error) {
	total := serverUse{commands: map[string]float64{}}
	for _, node := range s.nodes {
		info, err := node.Do(ctx, node.B().Info().Section("cpu", "commandstats").Build()).ToString()
		if err != nil {
			return serverUse{}, err
		}
		use, err := parseUse(info)
		if err != nil {
			return serverUse{}, err
		}
		total.cpu += use.cpu
		for command, n := range use.commands {
			total.commands[command] += n
		}
	}
	return total, nil
}

func parseUse(info string) (serverUse, error) {
	use := serverUse{commands: map[string]float64{}}
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch command, isCommand := strings.CutPrefix(name, "cmdstat_"); {
		case name == "used_cpu_user" || name == "used_cpu_sys":
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return serverUse{}, fmt.Errorf("INFO: %s: %w", name, err)
			}
			use.cpu += time.Duration(seconds * float64(time.Second))
		case isCommand && !notOfDecisions[command]:
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			n, err := strconv.ParseFloat(calls, 64)
			if err != nil {
				return serverUse{}, fmt.Errorf("INFO: %s: %w", name, err)
			}
			use.commands[command] = n
		}
	}
	return use, nil
}

// info is one field of the server's INFO.
func (s *server) info(ctx context.Context, field string) string {
	text, err := s.do(ctx, "INFO").ToString()
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), field+":"); ok {
			return value
		}
	}
	return "unknown"
}

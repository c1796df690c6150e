package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
)

// server is the private Redis of a run, and a connection to it that no contestant uses.
type server struct {
	*redisserver.Server
	control rueidis.Client
}

func startServer(ctx context.Context) (*server, error) {
	process, err := redisserver.Start(ctx)
	if err != nil {
		return nil, err
	}
	control, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{process.Addr()}, DisableCache: true, ForceSingleClient: true,
	})
	if err != nil {
		_ = process.Stop()
		return nil, err
	}
	return &server{process, control}, nil
}

func (s *server) stop() error {
	s.control.Close()
	return s.Stop()
}

func (s *server) do(ctx context.Context, command ...string) rueidis.RedisResult {
	return s.control.Do(ctx, s.control.B().Arbitrary(command...).Build())
}

// empty makes the server as good as new.
func (s *server) empty(ctx context.Context) error {
	if err := s.do(ctx, "FLUSHALL", "SYNC").Error(); err != nil {
		return err
	}
	return s.do(ctx, "CONFIG", "RESETSTAT").Error()
}

// serverUse is what the server has done since its statistics were reset; its CPU time since
// it began.
type serverUse struct {
	cpu      time.Duration
	commands map[string]float64 // how often each ran, sent by clients or called by scripts
}

// Commands of connections that begin, and of this program, which are no part of a decision.
var notOfDecisions = map[string]bool{
	"info": true, "config|resetstat": true, "flushall": true, "monitor": true, "echo": true, "ping": true, "hello": true,
	"client|setinfo": true, "client|setname": true, "client|tracking": true, "client|maint_notifications": true, "auth": true, "select": true,
}

func (s *server) use(ctx context.Context) (serverUse, error) {
	info, err := s.do(ctx, "INFO", "cpu", "commandstats").ToString()
	if err != nil {
		return serverUse{}, err
	}
	return parseUse(info)
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

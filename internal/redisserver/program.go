package redisserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Servers is the variable that names other servers than the redis-server of the PATH: folders
// with a redis-server or a valkey-server and its redis-cli or valkey-cli, or such servers
// themselves, as a list like PATH. The first one counts.
const Servers = "SERVERS"

// program is the server and its client, as names or paths.
type program struct{ server, cli string }

func findProgram() (program, error) {
	first := ""
	if list := filepath.SplitList(os.Getenv(Servers)); len(list) > 0 {
		first = list[0]
	}
	if first == "" {
		if _, err := exec.LookPath("redis-server"); err != nil {
			return program{}, ErrNotInstalled
		}
		return program{"redis-server", "redis-cli"}, nil
	}
	candidates := []string{first, filepath.Join(first, "valkey-server"), filepath.Join(first, "redis-server")}
	for _, server := range candidates {
		if info, err := os.Stat(server); err == nil && !info.IsDir() {
			cli := filepath.Join(filepath.Dir(server), strings.Replace(filepath.Base(server), "-server", "-cli", 1))
			_, err := os.Stat(cli)
			return program{server, cli}, err
		}
	}
	return program{}, fmt.Errorf("redisserver: %s names %s, where there is no server; allowed: a folder with a redis-server or a valkey-server, or one of these", Servers, first)
}

// Version is what the server says that it is, such as "Redis server v=7.0.15".
func Version(ctx context.Context) (string, error) {
	p, err := findProgram()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, p.server, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("redisserver: %s --version: %w", p.server, err)
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(out)), " sha=")
	return version, nil
}

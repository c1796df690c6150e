package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// where describes what a run was measured on, a line for each idea.
func (s *server) where(ctx context.Context) []string {
	return []string{
		fmt.Sprintf("machine: %s, %d processors (GOMAXPROCS %d), %s %s", processor(), runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.GOOS, kernel()),
		fmt.Sprintf("%s, Redis %s on 127.0.0.1, without persistence; load average at the start: %s",
			runtime.Version(), s.info(ctx, "redis_version"), loadAverage()),
		"modules: " + modules(),
	}
}

// processor is its model, as Linux tells it.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor, " + runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor, " + runtime.GOARCH
}

func kernel() string { return firstWords("/proc/sys/kernel/osrelease", 1) }

func loadAverage() string { return firstWords("/proc/loadavg", 3) }

func firstWords(file string, n int) string {
	text, err := os.ReadFile(file)
	words := strings.Fields(string(text))
	if err != nil || len(words) < n {
		return "unknown"
	}
	return strings.Join(words[:n], " ")
}

// modules are the versions of what is compared.
func modules() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	wanted := []string{"github.com/redis/rueidis", "github.com/redis/go-redis/v9", "github.com/go-chi/httprate"}
	for _, c := range append(onRedis(), inMemory()...) {
		wanted = append(wanted, c.module)
	}
	var found []string
	for _, module := range info.Deps {
		if slices.Contains(wanted, module.Path) {
			found = append(found, module.Path+" "+module.Version)
		}
	}
	return strings.Join(found, ", ")
}

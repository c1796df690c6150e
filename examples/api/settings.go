package main

import (
	"cmp"
	"os"
	"strings"

	"github.com/seed-e8747a6b/ratelimit/config"
)

const (
	dotEnv = ".env"

	// Other computers cannot reach it: whoever wants that says so.
	safeHost = "127.0.0.1"
)

// load reads the settings from the environment and, if there is one, an .env file.
func load(environ []string) (*config.Config, error) {
	sources := config.Sources{
		Environ: environ,
		Defaults: map[string]any{
			"port":                3000,
			"limits.api.max":      100,
			"limits.api.window":   "15m",
			"limits.login.max":    5,
			"limits.login.window": "10m",
		},
	}
	if _, err := os.Stat(dotEnv); err == nil {
		sources.DotEnv = dotEnv
	}
	return config.Load(sources)
}

// host is where to listen: this program's own setting, and not one of package config.
func host(environ []string) string {
	var host string
	for _, setting := range environ {
		if value, ok := strings.CutPrefix(setting, "HOST="); ok {
			host = value // the last one of a name counts
		}
	}
	return cmp.Or(host, safeHost)
}

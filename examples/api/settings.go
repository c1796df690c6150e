package main

import (
	"strings"

	"github.com/seed-e8747a6b/ratelimit/config"
)

// load reads the settings from the YAML file that CONFIG_FILE names, if it does, from a .env
// file, if there is one, and from the environment.
func load(environ []string) (*config.Config, error) {
	return config.Load(config.Sources{
		YAML:    valueOf("CONFIG_FILE", environ),
		Environ: environ,
		DotEnv:  ".env",
		Defaults: map[string]any{
			"host":                "127.0.0.1", // nobody else's computer is let in by accident
			"port":                3000,
			"limits.api.max":      100,
			"limits.api.window":   "15m",
			"limits.api.by":       "ip",
			"limits.login.max":    5,
			"limits.login.window": "10m",
			"limits.login.by":     "ip",
		},
	})
}

// valueOf returns the value of a variable, "" if it is not set.
func valueOf(variable string, environ []string) (value string) {
	for _, setting := range environ {
		if name, given, _ := strings.Cut(setting, "="); name == variable {
			value = given // the last one counts
		}
	}
	return value
}

package main

import "github.com/seed-e8747a6b/ratelimit/config"

// load reads the settings from the environment and, if there is one, a .env file.
func load(environ []string) (*config.Config, error) {
	return config.Load(config.Sources{
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

package main

import "github.com/seed-e8747a6b/ratelimit/config"

// noURL stands for a REDIS_URL that nobody set. It is a URL that nobody would set, as
// config has to have one, and memory:// is something that people do ask for.
const noURL = "unix:///nobody/set/REDIS_URL"

// setRedisURL begins the setting of REDIS_URL in an environment.
const setRedisURL = "REDIS_URL="

// load reads the settings of the API as it does itself, but for a REDIS_URL, which may
// be missing: that is what the demo is there to bring up.
func load(environ []string, dotEnv string) (*config.Config, error) {
	return config.Load(config.Sources{
		Environ: environ,
		DotEnv:  dotEnv,
		Defaults: map[string]any{
			"redis.url":           noURL,
			"host":                "127.0.0.1",
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

package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
)

// FuzzLoad puts a login somewhere into a YAML file, into a .env file and into a variable.
// Whatever is around it: Load gives a Config or an error, and no error repeats the login.
func FuzzLoad(f *testing.F) {
	const (
		marker = "s3cret-marker"
		login  = "redis://:" + marker + "@h"
	)
	for _, seed := range [][2]string{
		{"redis:\n  url: ", "\n"}, {"redis: {url: '", "'}"}, {"redis: {url: \"", "\"}"}, {"port: ", ""}, {"", ": 1"}, {"? ", "\n: x"}, {"limits: {", ": {max: 1}}"},
		{"limits: {api: {max: 1, window: ", "}}"}, {"limits: {api: {max: 1, window: 1s, by: ", "}}"}, {"a: &", "\nb: *x"}, {"a: *", ""}, {"a: !", " x"}, {"!", ""}, {"!!str", " x"}, {"!a!", ""}, {"port: !!int ", ""}, {"!<", "> x"}, {"- ", ""}, {"{", "}"}, {"[", ""},
		{"--- ", "\n---\n"}, {"%TAG ", "\n"}, {"port: |\n ", ""}, {"redis:\n\t", ""}, {"client: {key_secret: ", "}"}, {"response: {headers: [draft-11, ", "]}"}, {"host: ", ""}, {"<<: ", ""},
		{"REDIS_URL=", "\n"}, {"REDIS_URL='", "'"}, {"REDIS_URL=\"", "\\n$A\""}, {"export PORT=", ""}, {"", "=1"}, {"LIMITS_", "_MAX=1"}, {"LIMITS_API_MAX=1\nLIMITS_API_BY=", ""}, {"A=${", "}"}, {"# ", ""},
		{"REDIS_TIMEOUT=", ""}, {"CLIENT_KEY_SECRET=x", ""}, {"\ufeffPORT=", ""}, {"REDIS_PASSWORD=", ""}, {"LIMITS_API_WINDOW", ""}, {"=", "="},
	} {
		f.Add(seed[0], seed[1])
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, before, after string) {
		if strings.Contains(before+after, marker) {
			return
		}
		file, err := os.CreateTemp(dir, "")
		require.NoError(t, err)
		defer func() { _ = os.Remove(file.Name()) }()
		_, err = file.WriteString(before + login + after)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		for _, sources := range []config.Sources{
			{YAML: file.Name(), Environ: []string{}},
			{YAML: file.Name(), Environ: []string{"REDIS_URL=memory://"}},
			{DotEnv: file.Name(), Environ: []string{}},
			{Environ: []string{before + login + after}},
			{Environ: []string{}, Defaults: map[string]any{before + login + after: 1}},
			{Environ: []string{}, Defaults: map[string]any{strings.TrimSpace(before): login + after}},
		} {
			c, err := config.Load(sources)
			if err == nil {
				require.NotNil(t, c)
				continue
			}
			require.Nil(t, c)
			require.ErrorIs(t, err, config.ErrInvalid)
			text := strings.ReplaceAll(err.Error(), filepath.Base(file.Name()), "")
			require.NotContains(t, text, marker, "%q", before+login+after)
		}
	})
}

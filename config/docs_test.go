package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The two tables of the settings have all of them, and no other.
func TestDocsHaveEverySetting(t *testing.T) {
	t.Parallel()
	for path, row := range map[string]string{
		"doc.go":                   `(?m)^//\t([a-z][a-z0-9_.]*)  +([A-Z0-9_]+) `,
		"../docs/configuration.md": "(?m)^\\| (?:`([A-Z0-9_]+)`(?:, `([A-Z0-9_]+)`)?) \\| (?:`([a-z0-9_.]+)`(?:, `([a-z0-9_.]+)`)?) \\|",
	} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		var keys []string
		for _, match := range regexp.MustCompile(row).FindAllStringSubmatch(strings.ReplaceAll(string(text), "// ", "//"), -1) {
			for _, key := range match[1:] {
				if key != "" && key == strings.ToLower(key) && isKey(key) {
					keys = append(keys, key)
					assert.Contains(t, match, variableOf(key), path)
				}
			}
		}
		for _, key := range plainKeys {
			assert.Contains(t, keys, key, path)
		}
	}
}

// The example of a .env file means what it says.
func TestDocsExampleOfADotEnvFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/configuration.md")
	require.NoError(t, err)
	_, example, found := strings.Cut(string(text), "## .env files\n\n")
	require.True(t, found)
	example, _, _ = strings.Cut(example, "\n\n")
	file, faultyLine := readDotEnv(example, map[string]string{"REDIS_HOST": "redis"})
	require.Zero(t, faultyLine)
	require.Empty(t, file.faults)
	assert.Equal(t, map[string]string{
		"REDIS_URL": "redis://redis:6379", "LIMITS_API_MAX": "100",
		"CLIENT_KEY_SECRET": `a $ or a \ in single quotes is nothing special`,
		"REDIS_PASSWORD":    "in double quotes \n, \r, \", \\ and $ stand for one character",
	}, file.values)
}

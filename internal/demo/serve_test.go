package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServeSaysWhereTheAPIIs(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), ".env")
	require.NoError(t, os.WriteFile(file, []byte("PORT=4000\nHOST=0.0.0.0\n"), 0o600))
	for _, test := range []struct {
		environ []string
		file    string
		want    string
	}{
		{[]string{}, "", "http://127.0.0.1:3000"},
		{[]string{}, file, "http://0.0.0.0:4000"},
		{[]string{"HOST=::1", "PORT=5000"}, file, "http://[::1]:5000"},
	} {
		cfg, err := load(test.environ, test.file)
		require.NoError(t, err)
		assert.Equal(t, test.want, apiURL(cfg))
	}
}

func TestServeReportsABadFileBeforeItBringsUpAnything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".env"), []byte("no variable\n"), 0o600))
	program, err := filepath.Abs(os.Args[0])
	require.NoError(t, err)
	demo := exec.CommandContext(t.Context(), program, "-serve", "-api", program)
	demo.Env, demo.Dir = append(os.Environ(), beDemo+"=1", "REDIS_URL="), dir
	var stdout, stderr bytes.Buffer
	demo.Stdout, demo.Stderr = &stdout, &stderr
	assert.Equal(t, exitFailed, exitCode(demo.Run()))
	assert.Empty(t, stdout.String())
	assert.Equal(t, "demo: .env: line 1 is not of the form NAME=value\n", stderr.String())
}

// What the API takes for granted, this program must, too, or it would find fault with
// settings that the API is fine with.
func TestDefaultsAreThoseOfTheAPI(t *testing.T) {
	t.Parallel()
	setting := regexp.MustCompile(`(?m)^\t+"[a-z.]+":.*?,`)
	ours, err := os.ReadFile("settings.go")
	require.NoError(t, err)
	theirs, err := os.ReadFile("../../examples/api/settings.go")
	require.NoError(t, err)
	want := setting.FindAllString(string(theirs), -1)
	require.NotEmpty(t, want)
	assert.Subset(t, setting.FindAllString(string(ours), -1), want)
}

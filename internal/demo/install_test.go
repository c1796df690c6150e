package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Ubuntu 22.04 has such a package: to install it again and again would not help.
func TestInstallerTakesNoPackageThatIsTooOld(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	for _, name := range []string{"sed", "cat", "rm", "mktemp"} {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(bin, name)))
	}
	for name, script := range map[string]string{
		"id":        "echo 0",
		"apt-cache": `printf 'redis-server:\n  Installed: (none)\n  Candidate: 5:6.0.16-1ubuntu1\n  Version table:\n'`,
		"apt-get":   `case "$*" in *update) ;; *) echo "asked for $*"; exit 1 ;; esac`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	}
	install := exec.CommandContext(t.Context(), "/bin/sh", "../install.sh", "redis")
	install.Env = []string{"PATH=" + bin}
	output, err := install.CombinedOutput()
	assert.Equal(t, 1, exitCode(err))
	assert.Equal(t, `install.sh: redis is missing; installing it, which may take a minute
install.sh: 7.0 or later is needed, but the package of this system is Redis 6.0.16: start Docker, upgrade to
install.sh:   a newer release of the system, use the packages of redis.io, or set REDIS_URL=redis://host:6379
`, string(output))
}

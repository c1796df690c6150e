package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

// runMain makes the test binary be the program.
const runMain = "LLM_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	redistest.Main(m)
}

func program() (cmd *exec.Cmd, output *bytes.Buffer) {
	cmd, output = exec.Command(os.Args[0]), &bytes.Buffer{}
	cmd.Env = append(os.Environ(), runMain+"=1", "REDIS_URL=", "REDIS_TIMEOUT=30s")
	cmd.Stdout, cmd.Stderr = output, output
	subprocess.Tie(cmd)
	return cmd, output
}

func TestTheProgramEndsByItself(t *testing.T) {
	t.Parallel()
	cmd, output := program()
	require.NoError(t, cmd.Run(), output)
	assert.Contains(t, output.String(), "ada's first refusal")
}

func TestSignalsEndTheProgramWith0(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd, output := program()
		cmd.Stdout = nil
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewReader(stdout)
		_, err = lines.ReadString('\n') // it has begun
		require.NoError(t, err)
		require.NoError(t, cmd.Process.Signal(signal))
		_, err = io.Copy(io.Discard, lines)
		require.NoError(t, err)
		assert.NoError(t, cmd.Wait(), "%v: %s", signal, output)
	}
}

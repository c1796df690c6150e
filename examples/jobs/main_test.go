package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
)

// runMain makes the test binary be the program, and its workers too.
const runMain = "JOBS_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
		return
	}
	redistest.Main(m)
}

// program is the example as a process.
func program(redisURL string, args ...string) (cmd *exec.Cmd, output *bytes.Buffer) {
	cmd, output = exec.Command(os.Args[0], args...), &bytes.Buffer{}
	cmd.Env = append(os.Environ(), runMain+"=1", "REDIS_URL="+redisURL)
	cmd.Stdout, cmd.Stderr = output, output
	subprocess.Tie(cmd)
	return cmd, output
}

// number returns the number that the expression finds in the output.
func number(t *testing.T, output, expression string) int {
	t.Helper()
	match := regexp.MustCompile(expression).FindStringSubmatch(output)
	require.NotNil(t, match, "%s in %s", expression, output)
	n, err := strconv.Atoi(match[1])
	require.NoError(t, err)
	return n
}

// Calls that come too late cost further turns, so a slow machine makes more turns than jobs, and no
// violation.
func TestEightProcessesShareTheQuota(t *testing.T) {
	t.Parallel()
	cmd, output := program("", "-jobs", "45", "-lanes", "2", "-max", "15", "-window", "500ms", "-margin", "1500ms")
	require.NoError(t, cmd.Run(), output)
	text := output.String()
	assert.Equal(t, 45, number(t, text, `API +(\d+) calls`), text)
	assert.Zero(t, number(t, text, `(\d+) violations`), text)
	assert.Zero(t, number(t, text, `(\d+) overtaken`), text)
	assert.Positive(t, number(t, text, `order +(\d+) pairs`), text)
	units := number(t, text, `granted +(\d+) units; 0 windows of 2s with more than 15`)
	assert.Equal(t, 45+number(t, text, `(\d+) too late`), units, text)
	assert.LessOrEqual(t, number(t, text, `Redis +(\d+) commands`), units, text)
}

func TestSignalsGiveThePlacesBack(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			url := startRedis(t).URL()
			s := settings{max: 3, window: time.Hour, margin: time.Minute}
			limiter := newLimiter(t, url, s.limit())
			cmd, output := program(url, "-jobs", "100", "-lanes", "2", "-max", "3", "-window", "1h", "-margin", "1m")
			require.NoError(t, cmd.Start())
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()

			// Three jobs are done at once, and 8 x 2 lanes are in line: the last of them is to use its
			// unit in 5 windows, so there is none left for less than 6.
			lineIs := func(windows float64) bool {
				d, err := limiter.Peek(t.Context(), key)
				require.NoError(t, err)
				ahead := d.RetryAfter.Seconds() / s.limit().Window.Seconds()
				return ahead > windows-1 && ahead <= windows
			}
			require.Eventually(t, func() bool { return lineIs(6) }, 2*time.Minute, 10*time.Millisecond)
			pid := cmd.Process.Pid
			if signal == syscall.SIGINT {
				pid = -pid // Ctrl-C on a terminal reaches the workers as well
			}
			require.NoError(t, syscall.Kill(pid, signal))
			require.NoError(t, <-ended, output)
			assert.Equal(t, 3, number(t, output.String(), `granted +(\d+) units`), output)
			assert.True(t, lineIs(1), "nobody is in line any more")
		})
	}
}

func TestAWorkerThatFailsEndsTheRun(t *testing.T) {
	t.Parallel()
	// Workers need scripts, and find out when they begin that they have no right to run any.
	server, err := redisserver.Start(t.Context(), "--user", "weak", "on", ">secret", "~*", "&*", "+@all", "-@scripting")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	cmd, output := program("redis://weak:secret@"+server.Addr(), "-jobs", "5")
	var exit *exec.ExitError
	require.True(t, errors.As(cmd.Run(), &exit), output)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, output.String(), "worker 0: ")
	assert.NotContains(t, output.String(), "secret")
}

func TestBadFlagsAreSaid(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-jobs", "0"}, {"-workers", "-1"}, {"-lanes", "0"}, {"-max", "0"}, {"-window", "1us"}, {"-margin", "0s"}, {"more"}} {
		cmd, output := program("", args...)
		var exit *exec.ExitError
		require.True(t, errors.As(cmd.Run(), &exit), args)
		assert.Equal(t, 2, exit.ExitCode(), args)
		assert.Contains(t, output.String(), "allowed:")
	}
}

// A call is late by any time up to the margin: the API's window holds no more for it, as the
// limiter's is longer by that much.
func TestTheMarginCoversLateCalls(t *testing.T) {
	t.Parallel()
	const window, margin = 10 * time.Second, time.Second
	begin := time.Unix(1_800_000_000, 0)
	tooMany := func(limiterWindow time.Duration) int {
		a := &api{max: 3, window: window}
		at := func(turn, late time.Duration) int {
			return a.count(func() time.Time { return begin.Add(turn + late) }, begin.Add(turn+margin))
		}
		for range 3 {
			at(0, margin)
		}
		for range 3 {
			at(limiterWindow, 0)
		}
		assert.Equal(t, 408, at(2*limiterWindow, margin+1), "it is not counted")
		assert.Equal(t, 1, a.tooLate)
		return a.tooMany
	}
	assert.Zero(t, tooMany(window+margin))
	assert.Equal(t, 3, tooMany(window+margin-1), "the API finds what is too much")
	assert.Equal(t, 3, tooMany(window))
}

func TestChecksFindFaults(t *testing.T) {
	t.Parallel()
	asks := []ask{{handed: 1, placed: 2, turn: 100}, {handed: 3, placed: 5, turn: 200}, {handed: 4, placed: 6, turn: 150}}
	pairs, overtook := overtaken(asks)
	assert.Equal(t, 2, pairs)
	assert.Zero(t, overtook, "which of the last two asked first is not known")
	asks[1].turn = 99
	_, overtook = overtaken(asks)
	assert.Equal(t, 1, overtook)

	asks[1].turn = 1100
	assert.Zero(t, windowsOver(asks, 2, time.Millisecond))
	asks[1].turn = 1099
	assert.Equal(t, 1, windowsOver(asks, 2, time.Millisecond))

	_, windows := quotaUsed(asks, 2, time.Millisecond)
	assert.Zero(t, windows)
	asks[1].turn = 2100
	used, windows := quotaUsed(asks, 2, time.Millisecond)
	assert.EqualValues(t, 2, windows)
	assert.InDelta(t, 0.5, used, 0, "2 of 4 in the two windows before the last turn")

	for _, broken := range []report{
		{settings: &settings{jobs: 1}},
		{settings: &settings{}, results: results{tooMany: 1}},
		{settings: &settings{max: 2, window: time.Second}, asks: asks},
	} {
		assert.Error(t, broken.fault(false))
	}
}

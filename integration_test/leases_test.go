//go:build unix

package integration_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/lease"
)

// leaseEnv makes this program a process that uses a leased limit.
const leaseEnv = "RATELIMIT_TEST_LEASE"

func init() { workers[leaseEnv] = workLeased }

// leaseTask is what such a process does.
type leaseTask struct {
	URL        string
	Limits     []slidingwindow.Limit
	Goroutines int
	Pause      time.Duration // between the calls of a goroutine
	Outages    bool          // calls may fail because the store does
}

// use is a call that was allowed. Its unit was used between two times of the computer's clock.
type use struct{ From, To int64 }

// workLeased makes calls until stdin ends, and writes each use to stdout at once: a process that is
// killed takes nothing with it that it has used.
func workLeased(text string) int {
	if err := leaseUnits(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func leaseUnits(text string) error {
	var task leaseTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return err
	}
	option, err := rueidis.ParseURL(task.URL)
	if err != nil {
		return err
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return err
	}
	defer client.Close()
	redis, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: 30 * time.Second})
	if err != nil {
		return err
	}
	defer redis.Close()
	store, err := lease.New(redis, lease.Config{})
	if err != nil {
		return err
	}
	limiter, err := slidingwindow.New(store, task.Limits...)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end()
	}()
	errs := make([]error, task.Goroutines)
	var all sync.WaitGroup
	for g := range task.Goroutines {
		all.Go(func() { errs[g] = useUnits(ctx, limiter, task) })
	}
	all.Wait()
	return errors.Join(append(errs, store.Close())...)
}

func useUnits(ctx context.Context, limiter *slidingwindow.Limiter, task leaseTask) error {
	for ; ctx.Err() == nil; time.Sleep(task.Pause) {
		from := time.Now().UnixNano()
		d, err := limiter.Allow(context.Background(), "hot") // not with ctx: no call is given up
		u := use{from, time.Now().UnixNano()}
		switch {
		case task.Outages && errors.Is(err, slidingwindow.ErrStoreUnavailable):
			time.Sleep(5 * time.Millisecond)
		case err != nil:
			return err
		case d.Allowed:
			if err := binary.Write(os.Stdout, binary.BigEndian, u); err != nil {
				return err
			}
		default:
			time.Sleep(min(d.RetryAfter, 20*time.Millisecond))
		}
	}
	return nil
}

// holders are processes that use a leased limit.
type holders struct {
	commands []*exec.Cmd
	stdins   []io.Closer
	read     sync.WaitGroup

	mu   sync.Mutex
	uses [][]use
}

func startHolders(t *testing.T, processes int, task leaseTask) *holders {
	t.Helper()
	text, err := json.Marshal(task)
	require.NoError(t, err)
	h := &holders{uses: make([][]use, processes)}
	for i := range processes {
		worker := exec.CommandContext(t.Context(), os.Args[0])
		worker.Env = append(os.Environ(), leaseEnv+"="+string(text))
		worker.Stderr = os.Stderr
		subprocess.Tie(worker)
		in, err := worker.StdinPipe()
		require.NoError(t, err)
		out, err := worker.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, worker.Start())
		h.commands, h.stdins = append(h.commands, worker), append(h.stdins, in)
		h.read.Go(func() {
			in := bufio.NewReader(out)
			for {
				var u use
				if err := binary.Read(in, binary.BigEndian, &u); err != nil {
					if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Error(err)
					}
					return
				}
				h.mu.Lock()
				h.uses[i] = append(h.uses[i], u)
				h.mu.Unlock()
			}
		})
	}
	return h
}

// used is how often the process, or all of them without one, has used a unit so far.
func (h *holders) used(processes ...int) (units int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, uses := range h.uses {
		if len(processes) == 0 || slices.Contains(processes, i) {
			units += len(uses)
		}
	}
	return units
}

// await waits until more units were used.
func (h *holders) await(t *testing.T, units int, processes ...int) {
	t.Helper()
	until := h.used(processes...) + units
	require.Eventually(t, func() bool { return h.used(processes...) >= until }, patience, time.Millisecond)
}

func (h *holders) signal(t *testing.T, process int, signal os.Signal) {
	t.Helper()
	require.NoError(t, h.commands[process].Process.Signal(signal))
}

// end ends the processes, of which some may have been killed, and returns the uses of all.
func (h *holders) end(t *testing.T, killed int) []use {
	t.Helper()
	for _, in := range h.stdins {
		_ = in.Close() // of one that was killed it is closed
	}
	h.read.Wait()
	for _, worker := range h.commands {
		if err := worker.Wait(); err != nil {
			killed--
		}
	}
	assert.Zero(t, killed, "processes that did not end by themselves")
	return slices.Concat(h.uses...)
}

// mostInAWindow is how many uses lie within one window for sure, and how many there are with what
// may be outside of it.
func mostInAWindow(uses []use, window time.Duration) (most int) {
	slices.SortFunc(uses, func(a, b use) int { return int(a.From - b.From) })
	ends := make([]int64, len(uses))
	var long []use // longer than a window
	for i, u := range uses {
		ends[i] = u.To
		if u.To-u.From > int64(window) {
			long = append(long, u)
		}
	}
	slices.Sort(ends)
	ended := 0
	for i, u := range uses {
		end := u.From + int64(window)
		for ended < len(ends) && ends[ended] < end {
			ended++
		}
		before := i // of which only long ones have not ended
		for _, l := range long {
			if l.From < u.From && l.To >= end {
				before--
			}
		}
		most = max(most, ended-before)
	}
	return most
}

func commandsOf(t *testing.T, client rueidis.Client) (commands int, cpu float64) {
	t.Helper()
	info, err := client.Do(t.Context(), client.B().Info().Section("commandstats", "cpu").Build()).ToString()
	require.NoError(t, err)
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case strings.HasPrefix(name, "cmdstat_evalsha"), name == "cmdstat_eval":
			calls, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			n, err := strconv.Atoi(calls)
			require.NoError(t, err)
			commands += n
		case name == "used_cpu_user", name == "used_cpu_sys":
			seconds, err := strconv.ParseFloat(value, 64)
			require.NoError(t, err)
			cpu += seconds
		}
	}
	return commands, cpu
}

// TestPromise1_NoWindowOfLeasesHoldsMoreThanMax has four processes use one limit from leases, while one
// is killed, and others are stopped past the end of their leases again and again.
func TestPromise1_NoWindowOfLeasesHoldsMoreThanMax(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL())
	limit := slidingwindow.Limit{Name: "hot", Max: 2000, Window: 400 * time.Millisecond}
	h := startHolders(t, 4, leaseTask{URL: server.URL(), Limits: []slidingwindow.Limit{limit}, Goroutines: 8})
	for i := range 8 {
		h.await(t, int(limit.Max)/2)
		if i == 4 {
			h.signal(t, 0, syscall.SIGKILL)
		}
		stopped := 1 + i%3
		h.signal(t, stopped, syscall.SIGSTOP)
		time.Sleep(100 * time.Millisecond)
		h.signal(t, stopped, syscall.SIGCONT)
	}
	uses := h.end(t, 1)
	commands, _ := commandsOf(t, client)
	assert.LessOrEqual(t, mostInAWindow(uses, limit.Window), int(limit.Max))
	assert.Greater(t, len(uses), int(2*limit.Max), "it was more than some windows of it")
	assert.Less(t, commands, len(uses), "leases decided")
	t.Logf("%d units used, %.4f commands for each", len(uses), float64(commands)/float64(len(uses)))
}

// The check must find what is wrong.
func TestMostInAWindow(t *testing.T) {
	t.Parallel()
	at := func(from, to int64) use { return use{From: from, To: to} }
	assert.Equal(t, 3, mostInAWindow([]use{at(0, 1), at(2, 3), at(8, 9), at(10, 11)}, 10))
	assert.Equal(t, 1, mostInAWindow([]use{at(0, 1), at(10, 11)}, 10), "an interval of the window's length holds one of its ends only")
	assert.Equal(t, 2, mostInAWindow([]use{at(0, 30), at(5, 6), at(7, 8)}, 10), "a call that took long is in no window for sure")
	assert.Equal(t, 0, mostInAWindow([]use{at(0, 30)}, 10))
}

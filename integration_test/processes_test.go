package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// A worker is this test program run again, as a process of its own, with its task in
// this variable.
const workerEnv = "RATELIMIT_TEST_WORKER"

type task struct {
	URL        string
	Prefix     string
	Limits     []slidingwindow.Limit
	Keys       []string
	MostUnits  int64 // of one call, chosen at random
	Goroutines int
	Calls      int // of each goroutine
}

type report struct {
	Allowed map[string]int64 // units, by key
	Refused int64            // calls
}

// work does a task and prints the report.
func work(encoded string) int {
	rep, err := func() (*report, error) {
		var job task
		if err := json.Unmarshal([]byte(encoded), &job); err != nil {
			return nil, err
		}
		return job.do()
	}()
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(rep)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (job *task) do() (*report, error) {
	option, err := rueidis.ParseURL(job.URL)
	if err != nil {
		return nil, err
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: job.Prefix, Timeout: 30 * time.Second})
	if err != nil {
		return nil, err
	}
	limiter, err := slidingwindow.New(store, job.Limits...)
	if err != nil {
		return nil, err
	}
	rep := &report{Allowed: map[string]int64{}}
	errs := make([]error, job.Goroutines)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range job.Goroutines {
		wg.Go(func() {
			for range job.Calls {
				key := job.Keys[rand.IntN(len(job.Keys))]
				d, err := limiter.AllowN(context.Background(), key, 1+rand.Int64N(job.MostUnits))
				if err != nil {
					errs[g] = err
					return
				}
				mu.Lock()
				rep.Allowed[key] += d.Granted
				if !d.Allowed {
					rep.Refused++
				}
				mu.Unlock()
				if !d.Allowed && rand.IntN(10) == 0 {
					time.Sleep(min(d.RetryAfter, 20*time.Millisecond)) // the others are eager
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return rep, nil
}

// runProcesses does one task in several processes at once, with variables besides those
// of this one, and adds up their reports.
func runProcesses(t *testing.T, processes int, job task, environ ...string) report {
	t.Helper()
	encoded, err := json.Marshal(job)
	require.NoError(t, err)
	reports := make([]report, processes)
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			worker := exec.CommandContext(t.Context(), os.Args[0])
			worker.Env = append(os.Environ(), workerEnv+"="+string(encoded))
			worker.Env = append(worker.Env, environ...)
			var stderr bytes.Buffer
			worker.Stderr = &stderr
			out, err := worker.Output()
			if assert.NoError(t, err, stderr.String()) {
				assert.NoError(t, json.Unmarshal(out, &reports[i]), string(out))
			}
		})
	}
	wg.Wait()
	require.False(t, t.Failed())
	sum := report{Allowed: map[string]int64{}}
	for _, r := range reports {
		sum.Refused += r.Refused
		for key, units := range r.Allowed {
			sum.Allowed[key] += units
		}
	}
	return sum
}

func TestPromise1_ManyProcessesAdmitExactlyMax(t *testing.T) {
	t.Parallel()
	const limit, processes, goroutines, calls = 200, 4, 8, 50
	client := redistest.Client(t)
	sum := runProcesses(t, processes, task{
		URL:        redistest.URL(t),
		Prefix:     redistest.Prefix(t, client),
		Limits:     []slidingwindow.Limit{slidingwindow.PerHour(limit)},
		Keys:       []string{"one key"},
		MostUnits:  1,
		Goroutines: goroutines,
		Calls:      calls,
	})
	assert.EqualValues(t, limit, sum.Allowed["one key"])
	assert.EqualValues(t, processes*goroutines*calls-limit, sum.Refused)
}

// A script is known by its SHA-1, which Go panics at computing where FIPS 140 forbids it.
func TestWorksWhereOnlyFIPSAlgorithmsAreAllowed(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	sum := runProcesses(t, 1, task{
		URL:        redistest.URL(t),
		Prefix:     redistest.Prefix(t, client),
		Limits:     []slidingwindow.Limit{slidingwindow.PerHour(3)},
		Keys:       []string{strings.Repeat("a key that is hashed ", 10)},
		MostUnits:  1,
		Goroutines: 2,
		Calls:      10,
	}, "GODEBUG=fips140=only")
	assert.EqualValues(t, 17, sum.Refused)
}

// The limiter under test carries a second limit, too large to refuse anything. Both are
// decided at one time, so its log is a witness of every call that was allowed, with the
// time on Redis's clock, from all processes.
func TestPromise1_NoWindowOfManyProcessesHoldsMoreThanMax(t *testing.T) {
	t.Parallel()
	for _, limit := range []slidingwindow.Limit{
		{Name: "tested", Max: 1, Window: 5 * time.Millisecond},
		{Name: "tested", Max: 7, Window: 30 * time.Millisecond},
		{Name: "tested", Max: 150, Window: 100 * time.Millisecond},
	} {
		t.Run(fmt.Sprint(limit.Max), func(t *testing.T) {
			client := redistest.Client(t)
			witness := slidingwindow.Limit{Name: "witness", Max: 1_000_000_000, Window: time.Hour}
			prefix := redistest.Prefix(t, client)
			keys := []string{"a", "b"}
			sum := runProcesses(t, 3, task{
				URL:        redistest.URL(t),
				Prefix:     prefix,
				Limits:     []slidingwindow.Limit{limit, witness},
				Keys:       keys,
				MostUnits:  min(3, limit.Max),
				Goroutines: 6,
				Calls:      300,
			})
			require.Positive(t, sum.Refused, "the limit was reached")
			for _, key := range keys {
				hits := readLog(t, client, prefix+":{"+key+"}:witness")
				naive.CheckWindows(t, hits, limit)
				var units int64
				for _, h := range hits {
					units += h.Units
				}
				assert.Equal(t, sum.Allowed[key], units, "all that was granted was logged")
				assert.Greater(t, units, limit.Max, "and it was more than one window of it")
			}
		})
	}
}

// readLog reads a log as decide.lua describes it.
func readLog(t *testing.T, client rueidis.Client, key string) []naive.Hit {
	t.Helper()
	entries, err := client.Do(t.Context(), client.B().Zrange().Key(key).Min("0").Max("-1").Withscores().Build()).AsZScores()
	require.NoError(t, err)
	hits := make([]naive.Hit, 0, len(entries))
	for _, entry := range entries {
		if entry.Score < 0 {
			continue // the header
		}
		units := int64(1)
		if text := entry.Member[7:]; text != "" {
			units, err = strconv.ParseInt(text, 10, 64)
			require.NoError(t, err)
		}
		hits = append(hits, naive.Hit{At: time.Duration(entry.Score) * time.Microsecond, Units: units})
	}
	return hits
}

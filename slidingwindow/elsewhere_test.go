package slidingwindow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/internal/subprocess"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

// elsewhere is the store of two processes in turn: one of them takes, and the other gets the
// Decision as a text and settles it.
type elsewhere struct {
	slidingwindow.Store // of one
	other               slidingwindow.Store
}

func (s elsewhere) sides() (a, b slidingwindow.Store) {
	if rand.IntN(2) == 0 { //nolint:gosec // which of them does not matter
		return s.other, s.Store
	}
	return s.Store, s.other
}

func (s elsewhere) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	a, _ := s.sides()
	return a.Take(ctx, req)
}

func (s elsewhere) Settle(ctx context.Context, key string, d slidingwindow.Decision, units []int64) error {
	_, b := s.sides()
	return b.Settle(ctx, key, d, units)
}

func (s elsewhere) Reset(ctx context.Context, key string, limits []slidingwindow.Limit) error {
	a, _ := s.sides()
	return a.Reset(ctx, key, limits)
}

// All that holds for one store holds for two over one Redis, by turns, whoever takes and whoever
// settles. They have no client-side cache, whose word of a refund comes up to a millisecond late.
func TestTwoStoresOverOneRedis(t *testing.T) {
	uncached := func(option *rueidis.ClientOption) { option.DisableCache = true }
	client, other := redistest.Client(t, uncached), redistest.Client(t, uncached)
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		h, prefix := redisHarness(t, client)
		store, err := slidingwindow.NewRedisStoreWithClock(other, slidingwindow.RedisConfig{Prefix: prefix, Timeout: 10 * time.Second}, prefix+"-clock", time.Now)
		require.NoError(t, err)
		h.Store = elsewhere{h.Store, store}
		return h
	})
}

// takerEnv has what this program is to take when it runs again, as a process of its own.
const takerEnv = "RATELIMIT_TEST_TAKER"

// errand is what a taker is to do.
type errand struct {
	URL, Prefix, Key string // an empty URL stands for a memory store
	Limits           []slidingwindow.Limit
	Cost             slidingwindow.Cost
}

// run takes the cost, writes the Decision as JSON, and ends.
func (e *errand) run() error {
	store, err := e.store()
	if err != nil {
		return err
	}
	limiter, err := slidingwindow.New(store, e.Limits...)
	if err != nil {
		return err
	}
	d, err := limiter.AllowCost(context.Background(), e.Key, e.Cost)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(d)
}

func (e *errand) store() (slidingwindow.Store, error) {
	if e.URL == "" {
		return memory.NewWithConfig(memory.Config{})
	}
	option, err := rueidis.ParseURL(e.URL)
	if err != nil {
		return nil, err
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, err
	}
	return slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: e.Prefix, Timeout: 30 * time.Second})
}

// runTaker does the errand of this process, if it has one, and does not return then.
func runTaker() {
	encoded := os.Getenv(takerEnv)
	if encoded == "" {
		return
	}
	var e errand
	err := json.Unmarshal([]byte(encoded), &e)
	if err == nil {
		err = e.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// takenElsewhere is the Decision of a process that has ended.
func (e *errand) takenElsewhere(t *testing.T) slidingwindow.Decision {
	t.Helper()
	encoded, err := json.Marshal(e)
	require.NoError(t, err)
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	subprocess.Tie(cmd)
	cmd.Env = append(os.Environ(), takerEnv+"="+string(encoded))
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	output, err := cmd.Output()
	require.NoError(t, err, complaints.String())
	require.NotContains(t, string(output), e.Key)
	var d slidingwindow.Decision
	require.NoError(t, json.Unmarshal(output, &d))
	require.True(t, d.Allowed)
	return d
}

// A process takes and ends, and another settles or refunds what it took.
func TestDecisionOfAProcessThatHasEnded(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	limits := []slidingwindow.Limit{{Name: "requests", Max: 10, Window: time.Hour}, {Name: "tokens", Max: 1000, Window: 24 * time.Hour}}
	l, prefix := newRedisLimiter(t, client, limits...)
	e := errand{URL: redistest.URL(t), Prefix: prefix, Key: "tenant:9 user:42", Limits: limits, Cost: slidingwindow.Cost{"requests": 1, "tokens": 600}}
	settled := e.takenElsewhere(t)
	assert.EqualValues(t, 600, settled.Statuses()[1].Granted)
	left := func() [2]int64 {
		d, err := l.Peek(t.Context(), e.Key)
		require.NoError(t, err)
		return [2]int64{d.Statuses()[0].Remaining, d.Statuses()[1].Remaining}
	}
	require.Equal(t, [2]int64{9, 400}, left())

	err := l.Settle(t.Context(), "tenant:8", settled, slidingwindow.Cost{"tokens": 70})
	require.ErrorIs(t, err, slidingwindow.ErrInvalidKey)
	changed := settled
	changed.Granted++
	require.ErrorIs(t, l.Settle(t.Context(), e.Key, changed, slidingwindow.Cost{"tokens": 70}), slidingwindow.ErrDecisionChanged)
	elsewhere, _ := newRedisLimiter(t, client, limits...)
	require.ErrorIs(t, elsewhere.Settle(t.Context(), e.Key, settled, slidingwindow.Cost{"tokens": 70}), slidingwindow.ErrForeignDecision)
	require.Equal(t, [2]int64{9, 400}, left(), "nothing was given back")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		require.NoError(t, l.Settle(ended, e.Key, settled, slidingwindow.Cost{"tokens": 70}), "the client has hung up")
		require.Equal(t, [2]int64{9, 930}, left(), "once")
	}
	refunded := e.takenElsewhere(t)
	require.Equal(t, [2]int64{8, 330}, left())
	for range 2 {
		require.NoError(t, l.Refund(t.Context(), e.Key, refunded))
		require.Equal(t, [2]int64{9, 930}, left(), "once")
	}
}

// The memory of a process is gone when that has ended.
func TestDecisionOfAnotherProcessesMemory(t *testing.T) {
	t.Parallel()
	limit := slidingwindow.PerHour(10)
	e := errand{Key: "tenant:9", Limits: []slidingwindow.Limit{limit}, Cost: slidingwindow.Cost{limit.Name: 4}}
	d := e.takenElsewhere(t)
	l := newLimiter(t, newMemoryStore(t, memory.Config{}), limit)
	mine, err := l.AllowN(t.Context(), e.Key, 4)
	require.NoError(t, err)
	require.ErrorIs(t, l.Refund(t.Context(), e.Key, d), slidingwindow.ErrForeignDecision)
	require.ErrorIs(t, l.Settle(t.Context(), e.Key, d, slidingwindow.Cost{limit.Name: 1}), slidingwindow.ErrForeignDecision)
	peeked, err := l.Peek(t.Context(), e.Key)
	require.NoError(t, err)
	assert.EqualValues(t, 6, peeked.Remaining)
	require.NoError(t, l.Settle(t.Context(), e.Key, naive.ThroughText(t, mine), slidingwindow.Cost{limit.Name: 1}), "this memory's own")
}

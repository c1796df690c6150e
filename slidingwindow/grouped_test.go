package slidingwindow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestConcurrentCallsNeedFewCommands(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	l, _ := newRedisLimiter(t, client, slidingwindow.Limit{Name: "x", Max: 1_000_000, Window: time.Hour})
	require.True(t, allow(t, l, "k"))
	before := calls(t, client)["evalsha"]
	const callers, each = 128, 50
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for range each {
				_, err := l.Allow(t.Context(), fmt.Sprint("k", i))
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	assert.Less(t, calls(t, client)["evalsha"]-before, callers*each/4, "they share commands")
}

// Each caller of a batch has its own answer: its Remaining is there once, and its receipt
// gives back its own units.
func TestCallersOfOneKeyHaveTheirOwnAnswers(t *testing.T) {
	t.Parallel()
	l, _ := newRedisLimiter(t, redistest.Client(t), slidingwindow.Limit{Name: "a", Max: 300, Window: time.Hour}, slidingwindow.Limit{Name: "b", Max: 1000, Window: 2 * time.Hour})
	var mu sync.Mutex
	var allowed []slidingwindow.Decision
	refused := 0
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 10 {
				d, err := l.Allow(t.Context(), "k")
				if !assert.NoError(t, err) {
					return
				}
				mu.Lock()
				if d.Allowed {
					allowed = append(allowed, d)
				} else {
					refused++
					assert.Positive(t, d.RetryAfter)
					assert.EqualValues(t, 700, d.Statuses()[1].Remaining)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 340, refused)
	require.Len(t, allowed, 300)
	var remaining []int64
	for _, d := range allowed {
		remaining = append(remaining, d.Remaining)
	}
	slices.Sort(remaining)
	for i := range remaining {
		require.EqualValues(t, i, remaining[i])
	}
	for range 2 {
		for _, d := range allowed[:200] {
			wg.Go(func() { assert.NoError(t, l.Refund(t.Context(), "k", d)) })
		}
	}
	wg.Wait()
	d, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 200, d.Remaining)
}

func TestCallersThatLeaveTakeNothingFromOthers(t *testing.T) {
	t.Parallel()
	l, _ := newRedisLimiter(t, redistest.Client(t), slidingwindow.Limit{Name: "x", Max: 1_000_000, Window: time.Hour})
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			for n := range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+n)%3 == 0 {
					go cancel()
				}
				_, err := l.Allow(ctx, "k")
				if err != nil {
					assert.True(t, errors.Is(err, context.Canceled), err)
					assert.NotErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	_, err := l.Allow(t.Context(), "k")
	require.NoError(t, err)
}

func TestClosedStoreHasDrained(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	h, _ := redisHarness(t, client)
	store := h.Store.(*slidingwindow.RedisStore)
	l := newLimiter(t, store, slidingwindow.Limit{Name: "x", Max: 1_000_000, Window: time.Hour})
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			_, err := l.Allow(t.Context(), "k")
			if err != nil {
				assert.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
				assert.ErrorContains(t, err, "closed")
			}
		})
	}
	store.Close()
	_, err := l.Allow(t.Context(), "k")
	assert.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	wg.Wait()
	store.Close()
	require.NoError(t, l.Reset(t.Context(), "k"), "the client is the caller's, and is open")
}

func TestClosingRacesWithTheFirstCall(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	prefix := redistest.Prefix(t, client)
	for range 300 {
		store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: prefix, Timeout: 10 * time.Second})
		require.NoError(t, err)
		l := newLimiter(t, store, slidingwindow.Limit{Name: "x", Max: 1_000_000, Window: time.Hour})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := l.Allow(t.Context(), "k"); err != nil {
					assert.ErrorContains(t, err, "closed")
				}
			})
		}
		store.Close()
		wg.Wait()
	}
}

// A client that takes a node of a Cluster for a single server, as behind some proxies.
func TestBatchesAreGivenUpWhereKeysHaveSlots(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context(), "--cluster-enabled", "yes")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, ForceSingleClient: true, AlwaysPipelining: true})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	require.NoError(t, do(t, client, "CLUSTER", "ADDSLOTSRANGE", "0", "16383").Error())
	require.Eventually(t, func() bool {
		return do(t, client, "GET", "k").Error() != nil && rueidis.IsRedisNil(do(t, client, "GET", "k").Error())
	}, 20*time.Second, 10*time.Millisecond)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: 10 * time.Second})
	require.NoError(t, err)
	l := newLimiter(t, store, slidingwindow.Limit{Name: "x", Max: 10, Window: time.Hour})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for range 15 {
				_, err := l.Allow(t.Context(), fmt.Sprint("k", i))
				assert.NoError(t, err)
			}
		})
	}
	wg.Wait()
	for i := range 64 {
		d, err := l.Peek(t.Context(), fmt.Sprint("k", i))
		require.NoError(t, err)
		assert.Zero(t, d.Remaining)
	}
}

// The caller leaves while its old refusal is looked up.
func TestCallThatHasLeftIsNotSent(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	client := redistest.Connect(t, server.URL())
	l, prefix := newRedisLimiter(t, client, slidingwindow.Limit{Name: "x", Max: 1, Window: time.Hour})
	require.True(t, allow(t, l, "k"))
	require.False(t, allow(t, l, "k"))
	before := calls(t, client)["evalsha"]
	require.NoError(t, server.Freeze())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := l.Allow(ctx, "k")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, server.Thaw())
	hits, err := do(t, client, "ZCOUNT", slidingwindow.RedisKey(prefix, "k", "x"), "0", "+inf").AsInt64()
	require.NoError(t, err)
	assert.EqualValues(t, 1, hits)
	assert.Equal(t, before, calls(t, client)["evalsha"])
}

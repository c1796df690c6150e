package slidingwindow_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const forever = 100 * time.Hour

// Waiters of several processes stand in one line, in one command each, or in one for all that
// come at the same time.
func TestWaitersShareOneLineAndTheirCommands(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL())
	h, _ := redisHarness(t, client)
	store := h.Store.(*slidingwindow.RedisStore)
	l := newLimiter(t, store, slidingwindow.PerMinute(1))
	require.True(t, allow(t, l, "k"), "the script is loaded")

	sent, _ := monitored(t, server.URL(), server.Addr(), func() {
		d, err := l.Reserve(t.Context(), "k", 1, forever)
		require.NoError(t, err)
		require.Equal(t, time.Minute, d.Delay)
	})
	assert.Equal(t, []string{"EVALSHA"}, names(sent))

	sent, _ = monitored(t, server.URL(), server.Addr(), func() {
		wait := slidingwindow.Request{Key: "k", Limits: l.Limits(), Cost: 1, Wait: true, MaxWait: forever}
		short := wait
		short.MaxWait = time.Minute
		now := slidingwindow.Request{Key: "k", Limits: l.Limits(), Cost: 1}
		decisions, errs := store.DecideTogether(t.Context(), wait, now, short, wait, wait, now)
		require.Equal(t, make([]error, 6), errs)
		for i, want := range []time.Duration{2 * time.Minute, 0, 0, 3 * time.Minute, 4 * time.Minute, 0} {
			assert.Equal(t, want > 0, decisions[i].Allowed, i)
			assert.Equal(t, want, decisions[i].Delay, i)
		}
		assert.Equal(t, 3*time.Minute, decisions[2].RetryAfter)
	})
	assert.Equal(t, []string{"EVALSHA"}, names(sent))
}

// A refusal that is known to stand says nothing of a place in line, of a cost per limit, nor of
// what fits.
func TestCachedRefusalsAnswerPlainCallsOnly(t *testing.T) {
	t.Parallel()
	l, _ := newRedisLimiter(t, redistest.Client(t), slidingwindow.Limit{Name: "a", Max: 1, Window: time.Hour}, slidingwindow.Limit{Name: "b", Max: 9, Window: time.Hour})
	require.True(t, allow(t, l, "k"))
	require.Eventually(t, func() bool {
		d, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
		return d.Reason == slidingwindow.ReasonCached
	}, 10*time.Second, time.Millisecond)
	for name, ask := range map[string]func() (slidingwindow.Decision, error){
		"Reserve":     func() (slidingwindow.Decision, error) { return l.Reserve(t.Context(), "k", 1, 0) },
		"AllowAtMost": func() (slidingwindow.Decision, error) { return l.AllowAtMost(t.Context(), "k", 1) },
		"AllowCost": func() (slidingwindow.Decision, error) {
			return l.AllowCost(t.Context(), "k", slidingwindow.Cost{"a": 1, "b": 2})
		},
	} {
		for range 3 {
			d, err := ask()
			require.NoError(t, err)
			assert.Equal(t, slidingwindow.ReasonRefused, d.Reason, name)
		}
	}
	d, err := l.Reserve(t.Context(), "k", 1, forever)
	require.NoError(t, err)
	require.True(t, d.Allowed)
	refused, err := l.Allow(t.Context(), "k")
	require.NoError(t, err)
	assert.Greater(t, refused.RetryAfter, d.Delay, "the line is known at once in its own process")
}

// The place of a waiter who has left may be another's when the command that gives it back
// comes a second time.
func TestPlaceIsGivenBackByOneCommandOnly(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	proxy := startLossyProxy(t, server.Addr())
	client := redistest.Connect(t, "redis://"+proxy.addr)
	l, _ := newRedisLimiter(t, client, slidingwindow.PerHour(1))
	require.True(t, allow(t, l, "k"))
	d, err := l.Reserve(t.Context(), "k", 1, forever)
	require.NoError(t, err)
	require.Positive(t, d.Delay)
	sent, _ := monitored(t, server.URL(), server.Addr(), func() {
		proxy.losesOne.Store(true)
		require.ErrorIs(t, l.Refund(t.Context(), "k", d), slidingwindow.ErrStoreUnavailable)
	})
	assert.LessOrEqual(t, len(sent), 1, "it is not sent again")
}

// A caller that leaves while Redis decides must not leave its place behind.
func TestPlaceOfACallerThatLeftWhileRedisDecided(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	l, _ := newRedisLimiter(t, redistest.Connect(t, server.URL()), slidingwindow.PerHour(1))
	require.True(t, allow(t, l, "other"), "the script is loaded")
	require.NoError(t, server.Freeze())
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- l.Wait(ctx, "k") }()
	time.Sleep(50 * time.Millisecond) // for the command to be sent; it may also not be
	cancel()
	require.NoError(t, server.Thaw())
	require.ErrorIs(t, <-result, context.Canceled)
	d, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 1, d.Remaining)
}

package guard_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/guard"
)

// A Redis that takes no writes still refuses and peeks, which says nothing of whether it can
// decide: it must neither end the outage nor keep it from being found.
func TestRefusalsAndPeeksAreNoEvidence(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct{ begin, end []string }{
		"READONLY":   {[]string{"REPLICAOF", "127.0.0.1", "1"}, []string{"REPLICAOF", "NO", "ONE"}},
		"OOM":        {[]string{"CONFIG", "SET", "maxmemory", "1"}, []string{"CONFIG", "SET", "maxmemory", "0"}},
		"NOREPLICAS": {[]string{"CONFIG", "SET", "min-replicas-to-write", "1"}, []string{"CONFIG", "SET", "min-replicas-to-write", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, store := ownRedis(t, patience)
			var log lockedBuffer
			g := newGuard(t, store, guard.Config{OnFailure: guard.Open, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			once, many := newLimiter(t, g, slidingwindow.PerHour(1)), newLimiter(t, g, slidingwindow.PerHour(1_000_000))
			_, err := once.Allow(t.Context(), "at its limit")
			require.NoError(t, err)
			do := func(command []string) {
				_, err := server.Do(t.Context(), command...)
				require.NoError(t, err)
			}
			// A refusal, a peek, and a call that needs a write.
			round := func() (refused, decided bool) {
				d, err := once.Allow(t.Context(), "at its limit")
				require.NoError(t, err)
				_, err = many.Peek(t.Context(), "k")
				require.NoError(t, err)
				other, err := many.Allow(t.Context(), "k")
				require.NoError(t, err)
				time.Sleep(time.Millisecond)
				return !d.Allowed, other.Reason == slidingwindow.ReasonAllowed
			}

			do(fault.begin)
			refusals := 0
			require.Eventually(t, func() bool {
				refused, decided := round()
				if refused {
					refusals++
				}
				require.False(t, decided)
				return !g.Available()
			}, patience, time.Millisecond, "it is found, although half of the calls are refused")
			assert.Positive(t, refusals)
			for until := time.Now().Add(2 * time.Second); time.Now().Before(until); { // some probes
				_, decided := round()
				require.False(t, decided)
				require.False(t, g.Available(), "it lasts, although Redis would refuse half of the calls")
			}
			do(fault.end)
			// By calls alone that Redis will refuse.
			require.Eventually(t, func() bool {
				_, err := once.Allow(t.Context(), "at its limit")
				return assert.NoError(t, err) && g.Available()
			}, patience, time.Millisecond, "it is found over")
			for range 100 {
				refused, decided := round()
				require.True(t, refused)
				require.True(t, decided)
			}
			assert.Equal(t, 1, strings.Count(log.String(), `level=WARN msg="slidingwindow: the store is unavailable"`), log.String())
			assert.Equal(t, 1, strings.Count(log.String(), `level=INFO msg="slidingwindow: the store is available again"`), log.String())
			assert.Equal(t, 2, strings.Count(log.String(), "\n"), log.String())
		})
	}
}

// What Redis will not run of one call is the error of that call, and nobody else's. The policy
// answers it.
func TestRejectedCallsAreNoOutage(t *testing.T) {
	t.Parallel()
	rights := strings.Fields("acl setuser limiter reset on >s3cret ~rl:* +@all")
	for name, test := range map[string]struct {
		rules []string // besides rights
		call  func(t *testing.T, l *slidingwindow.Limiter) (slidingwindow.Decision, error)
	}{
		"a command that is denied": {[]string{"-evalsha_ro"}, func(t *testing.T, l *slidingwindow.Limiter) (slidingwindow.Decision, error) {
			return l.Peek(t.Context(), "k")
		}},
		"a key that is denied": {[]string{"resetkeys", "~rl:{k}:*", "~rl:{o*"}, func(t *testing.T, l *slidingwindow.Limiter) (slidingwindow.Decision, error) {
			return l.Allow(t.Context(), "secret")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := redisserver.Start(t.Context())
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, server.Stop()) })
			_, err = server.Do(t.Context(), append(rights, test.rules...)...)
			require.NoError(t, err)
			store, err := slidingwindow.NewRedisStore(redistest.Connect(t, "redis://limiter:s3cret@"+server.Addr()), slidingwindow.RedisConfig{Timeout: patience})
			require.NoError(t, err)
			_, err = test.call(t, newLimiter(t, store, slidingwindow.PerHour(5)))
			require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
			require.ErrorIs(t, err, slidingwindow.ErrCallRejected)

			var log lockedBuffer
			g := newGuard(t, store, guard.Config{OnFailure: guard.Open, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			l := newLimiter(t, g, slidingwindow.PerHour(1_000_000))
			for until := time.Now().Add(time.Second); time.Now().Before(until); {
				d, err := test.call(t, l)
				require.NoError(t, err)
				require.Equal(t, slidingwindow.ReasonFailOpen, d.Reason)
				time.Sleep(10 * time.Millisecond)
			}
			d, err := l.Allow(t.Context(), "other")
			require.NoError(t, err)
			require.Equal(t, slidingwindow.ReasonAllowed, d.Reason)
			assert.True(t, g.Available())
			assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
			assert.Contains(t, log.String(), `level=WARN msg="slidingwindow: the store rejects a call" on_failure=open error="slidingwindow: store unavailable: redis: NOPERM`)
		})
	}
}

// Only a take shows whether the store can decide.
func TestPeeksRefundsAndResetsBeginNoOutage(t *testing.T) {
	t.Parallel()
	g := newGuard(t, noRedis(t), guard.Config{})
	l := newLimiter(t, g, slidingwindow.PerHour(5))
	taken := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: slidingwindow.PerHour(5), Receipt: 1})
	taken.Store = "redis:rl"
	for until := time.Now().Add(time.Second); time.Now().Before(until); {
		_, err := l.Peek(t.Context(), "k")
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
		require.ErrorIs(t, l.Reset(t.Context(), "k"), slidingwindow.ErrStoreUnavailable)
		require.ErrorIs(t, g.Settle(t.Context(), "k", taken, nil), slidingwindow.ErrStoreUnavailable)
	}
	assert.True(t, g.Available())
	awaitOutage(t, g, l)
	for _, err := range []error{l.Reset(t.Context(), "k"), g.Settle(t.Context(), "k", taken, nil)} {
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
		require.ErrorContains(t, err, "is asked every")
	}
}

// refuser is a store whose calls fail, and then are refused.
type refuser struct {
	slidingwindow.Store
	refuses, asked atomic.Int64
}

func (r *refuser) Take(_ context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	r.asked.Add(1)
	if r.refuses.Load() == 0 {
		return slidingwindow.Decision{}, slidingwindow.ErrStoreUnavailable
	}
	return slidingwindow.NewDecision(0, slidingwindow.Status{Limit: req.Limits[0], RetryAfter: time.Second}), nil
}

func TestAProbeThatIsRefusedEndsNoOutage(t *testing.T) {
	t.Parallel()
	store := &refuser{}
	g := newGuard(t, store, guard.Config{})
	l := newLimiter(t, g, slidingwindow.PerHour(5))
	awaitOutage(t, g, l)
	store.refuses.Store(1)
	asked := store.asked.Load()
	require.Eventually(t, func() bool {
		_, err := l.Allow(t.Context(), "k")
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
		return store.asked.Load() >= asked+3
	}, patience, time.Millisecond)
	assert.False(t, g.Available())
}

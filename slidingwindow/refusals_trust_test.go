package slidingwindow_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

// What a cached refusal must not take on trust.

// Two limiters that share a limit ask the same about it. The one that asks first after a write
// must not make the other believe what it knew before.
func TestAnswerToAnotherLimiterIsNotOneOfBefore(t *testing.T) {
	t.Parallel()
	shared := slidingwindow.Limit{Name: "x", Max: 1, Window: time.Minute}
	l, other, advance := twoInstances(t, shared)
	second, err := l.WithLimits(shared, slidingwindow.PerHour(9))
	require.NoError(t, err)
	require.True(t, allow(t, other, "k"))
	for range 3 {
		require.Equal(t, time.Minute, requireCached(t, l, "k", 1).RetryAfter)
		require.Equal(t, time.Minute, requireCached(t, second, "k", 1).RetryAfter)
		advance(5 * time.Second)
		require.NoError(t, other.Reset(t.Context(), "k"))
		require.True(t, allow(t, other, "k"))
		require.Eventually(t, func() bool { return takeN(t, l, "k", 1).RetryAfter == time.Minute }, soon, tick)
		time.Sleep(slidingwindow.Unlooked) // for so long it need not look
		require.Equal(t, time.Minute, takeN(t, second, "k", 1).RetryAfter)
	}
}

// Redis tells of writes to the log of the limit that refused. What is said of the others is 10
// seconds old at most.
func TestOtherLimitsAreAskedForAgain(t *testing.T) {
	t.Parallel()
	x, y := slidingwindow.Limit{Name: "x", Max: 1, Window: time.Hour}, slidingwindow.Limit{Name: "y", Max: 9, Window: time.Hour}
	l, other, advance := twoInstances(t, x, y)
	onlyY, err := other.WithLimits(y)
	require.NoError(t, err)
	require.True(t, allow(t, l, "k"))
	require.EqualValues(t, 8, requireCached(t, l, "k", 1).Statuses()[1].Remaining)
	require.True(t, takeN(t, onlyY, "k", 5).Allowed)
	advance(10 * time.Second)
	require.EqualValues(t, 3, takeN(t, l, "k", 1).Statuses()[1].Remaining)
}

// A client can send to a replica what only reads. Its clock must not make a refusal stand for
// longer than the clock that decides.
func TestClockOfAReplicaDoesNotProlongARefusal(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	prefix := redistest.Prefix(t, client)
	clock := newClock()
	store, err := slidingwindow.NewRedisStoreWithClock(client, slidingwindow.RedisConfig{Prefix: prefix, Timeout: 10 * time.Second}, prefix+"-clock", clock.Now)
	require.NoError(t, err)
	l := newLimiter(t, store, slidingwindow.Limit{Name: "x", Max: 1, Window: time.Minute})
	redisAt := func(now time.Time) {
		require.NoError(t, do(t, client, "HSET", prefix+"-clock", "s", strconv.FormatInt(now.Unix(), 10), "us", "0").Error())
	}
	redisAt(storetest.Epoch)
	require.True(t, allow(t, l, "k"))
	require.False(t, allow(t, l, "k"))
	redisAt(storetest.Epoch.Add(-30 * time.Second)) // the next one is asked of the replica
	require.Equal(t, 90*time.Second, takeN(t, l, "k", 1).RetryAfter)
	requireCached(t, l, "k", 1)
	redisAt(storetest.Epoch.Add(time.Minute))
	clock.Advance(time.Minute)
	require.True(t, allow(t, l, "k"))
}

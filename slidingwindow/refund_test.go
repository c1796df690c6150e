package slidingwindow_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// TestPromise5_RefundedCallsLeaveNothing makes and refunds calls without end: the log must
// not grow.
func TestPromise5_RefundedCallsLeaveNothing(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	h, prefix := redisHarness(t, client)
	limit := slidingwindow.Limit{Name: "x", Max: 100, Window: time.Hour}
	l := newLimiter(t, h.Store, limit)
	entries := func() int64 {
		n, err := client.Do(t.Context(), client.B().Zcard().Key(slidingwindow.RedisKey(prefix, "k", "x")).Build()).AsInt64()
		require.NoError(t, err)
		return n
	}
	cycle := func(cost int64, pause time.Duration) {
		d, err := l.AllowN(t.Context(), "k", cost)
		require.NoError(t, err)
		require.True(t, d.Allowed)
		h.Advance(pause)
		require.NoError(t, l.Refund(t.Context(), "k", d))
	}
	for _, cost := range []int64{1, 7, 1, 7} {
		cycle(cost, time.Microsecond)
		require.Zero(t, entries(), "cost %d: an empty log is no key", cost)
	}
	require.True(t, allow(t, l, "k"))
	for _, cost := range []int64{1, 7, 1, 7} {
		cycle(cost, time.Microsecond)
		require.EqualValues(t, 2, entries(), "cost %d: the header and the call that stays", cost)
	}
}

func TestPromise5_ARefundKeepsTheTimeToLive(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	l, prefix := newRedisLimiter(t, client, slidingwindow.PerMinute(10))
	key := slidingwindow.RedisKey(prefix, "k", "10-per-1m")
	require.True(t, allow(t, l, "k"))
	d, err := l.AllowN(t.Context(), "k", 3)
	require.NoError(t, err)
	require.NoError(t, do(t, client, "PEXPIRE", key, "50000").Error())
	require.NoError(t, l.Refund(t.Context(), "k", d))
	ttl, err := do(t, client, "PTTL", key).AsInt64()
	require.NoError(t, err)
	assert.Greater(t, ttl, int64(0))
	assert.LessOrEqual(t, ttl, int64(50_000))
}

func TestRefundIsOneCommand(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	l, _ := newRedisLimiter(t, client, slidingwindow.PerMinute(10), slidingwindow.PerHour(20))
	refund := func(n int64) {
		d, err := l.AllowN(t.Context(), "k", n)
		require.NoError(t, err)
		require.NoError(t, l.Refund(t.Context(), "k", d))
	}
	refund(1) // loads the scripts
	before := calls(t, client)
	refund(1)
	after := calls(t, client)
	assert.Equal(t, 2, after["evalsha"]-before["evalsha"], "one to take, one to refund")
	assert.Equal(t, 2, after["unlink"]-before["unlink"], "one for each limit")

	refused, err := l.AllowN(t.Context(), "k", 10)
	require.NoError(t, err)
	require.True(t, refused.Allowed)
	refused, err = l.AllowN(t.Context(), "k", 10)
	require.NoError(t, err)
	require.False(t, refused.Allowed)
	before = calls(t, client)
	require.NoError(t, l.Refund(t.Context(), "k", refused))
	after = calls(t, client)
	assert.Equal(t, before["evalsha"], after["evalsha"], "nothing was taken, nothing is asked")
}

func TestRefundScriptHeaderMatchesItsCaller(t *testing.T) {
	t.Parallel()
	header, _, ok := strings.Cut(slidingwindow.RefundScript, "\n\n")
	require.True(t, ok, "a header, then an empty line")
	require.Contains(t, header, "-- KEYS[1..n] ")
	require.Contains(t, header, "-- ARGV        for each log: the time of the call's entry (us), the units that the call took,")
	require.Contains(t, header, "-- RETURNS     how many")

	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL())
	l, prefix := newRedisLimiter(t, client, slidingwindow.PerMinute(10), slidingwindow.PerHour(20))
	d, err := l.AllowN(t.Context(), "k", 4)
	require.NoError(t, err)
	keys := []string{slidingwindow.RedisKey(prefix, "k", "10-per-1m"), slidingwindow.RedisKey(prefix, "k", "20-per-1h")}
	var entries []string
	for _, key := range keys {
		entry, err := do(t, client, "ZRANGE", key, "-1", "-1", "WITHSCORES").ToArray()
		require.NoError(t, err)
		pair, err := entry[0].AsStrSlice()
		require.NoError(t, err)
		require.Len(t, pair[0], 8, "7 bytes, and the units")
		require.True(t, strings.HasSuffix(pair[0], "4"))
		score, err := strconv.ParseFloat(pair[1], 64)
		require.NoError(t, err)
		entries = append(entries, strconv.FormatFloat(score, 'f', 0, 64), "4", "0", "0")
	}
	sent, _ := monitored(t, server.URL(), server.Addr(), func() { require.NoError(t, l.Refund(t.Context(), "k", d)) })
	command := sent[len(sent)-1]
	assert.Equal(t, append(append([]string{"2"}, keys...), entries...), command[2:])
	found, err := do(t, client, command...).AsInt64()
	require.NoError(t, err)
	assert.Zero(t, found, "they are out already")
}

func TestPromise8_RefundOfAKeyThatIsNoLongerALogIsATypedError(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	l, prefix := newRedisLimiter(t, client, slidingwindow.PerMinute(10))
	d, err := l.Allow(t.Context(), "k")
	require.NoError(t, err)
	require.NoError(t, do(t, client, "SET", slidingwindow.RedisKey(prefix, "k", "10-per-1m"), "x").Error())
	assert.ErrorIs(t, l.Refund(t.Context(), "k", d), slidingwindow.ErrForeignData)
}

// What took the log's place may have a member that is the entry's.
func TestPromise8_RefundLeavesForeignSetsAlone(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	l, prefix := newRedisLimiter(t, client, slidingwindow.PerMinute(10))
	d, err := l.Allow(t.Context(), "k")
	require.NoError(t, err)
	log := slidingwindow.RedisKey(prefix, "k", "10-per-1m")
	entry, err := do(t, client, "ZRANGE", log, "1", "1", "WITHSCORES").AsZScores()
	require.NoError(t, err)
	for name, first := range map[string]string{
		"no header":         "ada",
		"a header's length": strings.Repeat("h", 25),
		"a header's mark":   "log1 is a book",
	} {
		require.NoError(t, do(t, client, "DEL", log).Error())
		require.NoError(t, do(t, client, "ZADD", log, "-1", first, "5", entry[0].Member, "6", "bob").Error())
		before, err := do(t, client, "DUMP", log).ToString()
		require.NoError(t, err)
		assert.ErrorIs(t, l.Refund(t.Context(), "k", d), slidingwindow.ErrForeignData, name)
		after, err := do(t, client, "DUMP", log).ToString()
		require.NoError(t, err)
		assert.True(t, before == after, name)
	}
}

// A program that moves from one store to another, or that has two, may settle in one what it
// took from the other.
func TestDecisionOfAnotherStoreIsATypedError(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	limit := slidingwindow.PerMinute(10)
	redis, prefix := newRedisLimiter(t, client, limit)
	another, anotherPrefix := newRedisLimiter(t, client, limit)
	names := map[*slidingwindow.Limiter]string{redis: "redis:" + prefix, another: "redis:" + anotherPrefix}
	for range 2 {
		inMemory := newLimiter(t, newMemoryStore(t, memory.Config{}), limit)
		d, err := inMemory.Allow(t.Context(), "name")
		require.NoError(t, err)
		require.Regexp(t, "^memory:[0-9a-f]{16}$", d.Store)
		names[inMemory] = d.Store
	}
	for from, name := range names {
		d, err := from.AllowN(t.Context(), "k", 3)
		require.NoError(t, err)
		require.Equal(t, name, d.Store)
		for to, other := range names {
			if to == from {
				continue
			}
			for _, d := range []slidingwindow.Decision{d, naive.ThroughText(t, d)} {
				err := to.Refund(t.Context(), "k", d)
				require.ErrorIs(t, err, slidingwindow.ErrForeignDecision)
				require.EqualError(t, err, fmt.Sprintf("slidingwindow: decision of another store: Decision.Store is %q; allowed: %q", name, other))
				require.ErrorIs(t, to.Settle(t.Context(), "k", d, slidingwindow.Cost{limit.Name: 1}), slidingwindow.ErrForeignDecision)
			}
		}
	}
	for l := range names {
		d, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
		assert.EqualValues(t, 7, d.Remaining, "nothing was given back or taken")
	}
}

// Redis servers with one prefix have one name: their stores find nothing to settle.
func TestDecisionOfAnotherRedisSettlesNothing(t *testing.T) {
	t.Parallel()
	limit := slidingwindow.PerMinute(10)
	l, prefix := newRedisLimiter(t, redistest.Client(t), limit)
	store, err := slidingwindow.NewRedisStore(privateServer(t), slidingwindow.RedisConfig{Prefix: prefix, Timeout: 10 * time.Second})
	require.NoError(t, err)
	other := newLimiter(t, store, limit)
	d, err := l.AllowN(t.Context(), "k", 3)
	require.NoError(t, err)
	require.True(t, allow(t, other, "k"))
	require.NoError(t, other.Settle(t.Context(), "k", d, slidingwindow.Cost{limit.Name: 5}))
	for l, want := range map[*slidingwindow.Limiter]int64{l: 7, other: 9} {
		d, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
		assert.EqualValues(t, want, d.Remaining)
	}
}

// A Decision says how much to give back, so it must be as the call returned it.
func TestRefundOfAChangedDecisionIsATypedError(t *testing.T) {
	t.Parallel()
	limit := slidingwindow.PerMinute(10)
	redis, _ := newRedisLimiter(t, redistest.Client(t), limit)
	for _, l := range []*slidingwindow.Limiter{redis, newLimiter(t, newMemoryStore(t, memory.Config{}), limit)} {
		d, err := l.AllowN(t.Context(), "k", 3)
		require.NoError(t, err)
		for _, granted := range []int64{0, 2, 4, -3} {
			changed := d
			changed.Granted = granted
			err := l.Refund(t.Context(), "k", changed)
			require.ErrorIs(t, err, slidingwindow.ErrDecisionChanged)
			require.ErrorContains(t, err, "allowed: the 3 that the call took")
		}
		peeked, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
		assert.EqualValues(t, 7, peeked.Remaining, "nothing was given back")
		require.NoError(t, l.Refund(t.Context(), "k", d))
	}
}

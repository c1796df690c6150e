package slidingwindow_test

import (
	"context"
	"crypto/fips140"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

const (
	soon = time.Minute // much more than an invalidation ever travels
	tick = time.Millisecond
)

// redisStore is a store as users make it.
func redisStore(t testing.TB, client rueidis.Client, prefix string) *slidingwindow.RedisStore {
	t.Helper()
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: prefix, Timeout: 10 * time.Second})
	require.NoError(t, err)
	return store
}

func takeN(t testing.TB, l *slidingwindow.Limiter, key string, n int64) slidingwindow.Decision {
	t.Helper()
	d, err := l.AllowN(t.Context(), key, n)
	require.NoError(t, err)
	return d
}

// requireCached makes calls until one is answered without Redis: another instance's writes
// of the moment may be on their way.
func requireCached(t testing.TB, l *slidingwindow.Limiter, key string, n int64) (d slidingwindow.Decision) {
	t.Helper()
	require.Eventually(t, func() bool {
		d = takeN(t, l, key, n)
		require.False(t, d.Allowed)
		return d.Reason == slidingwindow.ReasonCached
	}, soon, tick)
	return d
}

func requireReopened(t testing.TB, l *slidingwindow.Limiter, key string) {
	t.Helper()
	require.Eventually(t, func() bool { return takeN(t, l, key, 1).Allowed }, soon, tick)
}

// ran is how often Redis ran the commands of decisions while f did.
func ran(t *testing.T, client rueidis.Client, f func()) map[string]int {
	t.Helper()
	before := calls(t, client)
	f()
	after := calls(t, client)
	counts := map[string]int{}
	for _, name := range []string{"evalsha", "evalsha_ro", "eval", "eval_ro"} {
		if n := after[name] - before[name]; n > 0 {
			counts[name] = n
		}
	}
	return counts
}

func TestCachedRefusalsTakeNoCommands(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	for name, limits := range map[string][]slidingwindow.Limit{
		"one":     {slidingwindow.PerHour(2)},
		"several": {slidingwindow.PerDay(200), slidingwindow.PerHour(2), slidingwindow.PerMinute(100)},
	} {
		l, _ := newRedisLimiter(t, client, limits...)
		require.True(t, allow(t, l, name))
		require.True(t, allow(t, l, name))
		var first slidingwindow.Decision
		assert.Equal(t, map[string]int{"evalsha": 1}, ran(t, client, func() { first = takeN(t, l, name, 1) }))
		assert.Equal(t, slidingwindow.ReasonRefused, first.Reason)

		var second slidingwindow.Decision
		assert.Equal(t, map[string]int{"evalsha_ro": 1}, ran(t, client, func() { second = takeN(t, l, name, 1) }), name)
		assert.Equal(t, slidingwindow.ReasonRefused, second.Reason, "it took a command")

		last := first
		assert.Empty(t, ran(t, client, func() {
			for range 50 {
				d := takeN(t, l, name, 1)
				require.Equal(t, slidingwindow.ReasonCached, d.Reason)
				require.False(t, d.Allowed)
				require.Zero(t, d.Granted)
				require.Equal(t, first.Limit, d.Limit)
				require.Less(t, d.RetryAfter, last.RetryAfter+time.Minute, "at most what a round trip takes is added")
				require.Positive(t, d.RetryAfter)
				require.Len(t, d.Statuses(), len(limits))
				for i, s := range d.Statuses() {
					require.Equal(t, first.Statuses()[i].Remaining, s.Remaining)
					require.Positive(t, s.ReplenishAfter)
					require.Equal(t, s.Limit.Name == "2-per-1h", s.RetryAfter > 0)
				}
				last = d
			}
		}), name)
	}
}

// twoInstances are limiters of two processes, on one clock.
func twoInstances(t *testing.T, limits ...slidingwindow.Limit) (own, other *slidingwindow.Limiter, advance func(time.Duration)) {
	t.Helper()
	client := redistest.Client(t)
	h, prefix := redisHarness(t, client)
	now := storetest.Epoch
	second, err := slidingwindow.NewRedisStoreWithClock(redistest.Client(t),
		slidingwindow.RedisConfig{Prefix: prefix, Timeout: 10 * time.Second}, prefix+"-clock", func() time.Time { return now })
	require.NoError(t, err)
	return newLimiter(t, h.Store, limits...), newLimiter(t, second, limits...), func(d time.Duration) {
		now = now.Add(d)
		h.Advance(d)
	}
}

func TestPromise6_RetryAfterOfACachedRefusalIsExact(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string][]slidingwindow.Limit{
		"one":     {{Name: "x", Max: 3, Window: time.Minute}},
		"several": {{Name: "x", Max: 3, Window: time.Minute}, {Name: "y", Max: 100, Window: time.Hour}},
	} {
		l, _, advance := twoInstances(t, limits...)
		for range 3 {
			require.True(t, allow(t, l, "k"))
			advance(10 * time.Second)
		}
		same := func(want time.Duration, cached bool) {
			t.Helper()
			d := takeN(t, l, "k", 1)
			if cached {
				d = requireCached(t, l, "k", 1)
			}
			require.Equal(t, cached, d.Reason == slidingwindow.ReasonCached, name)
			require.Equal(t, want, d.RetryAfter)
			peeked, err := l.Peek(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, slidingwindow.ReasonRefused, peeked.Reason, "Peek always asks")
			require.Equal(t, peeked.Statuses(), d.Statuses(), "as Redis would answer")
		}
		same(30*time.Second, false)
		require.False(t, allow(t, l, "k"))
		same(30*time.Second, true)
		advance(10 * time.Second)
		same(20*time.Second, true)
		advance(11 * time.Second)
		same(9*time.Second, true)
		advance(9*time.Second - time.Microsecond) // of several limits, Redis decides every 10 seconds
		same(time.Microsecond, true)
		advance(time.Microsecond)
		require.True(t, allow(t, l, "k"))
		same(10*time.Second, false)
	}
}

// A refusal of several units outlasts the hits that leave meanwhile, and each of them
// changes what Remaining and ReplenishAfter are.
func TestCachedRefusalEndsWhenAHitLeaves(t *testing.T) {
	t.Parallel()
	l, _, advance := twoInstances(t, slidingwindow.Limit{Name: "x", Max: 3, Window: time.Minute})
	for range 3 {
		require.True(t, allow(t, l, "k"))
		advance(10 * time.Second)
	}
	requireCached(t, l, "k", 3)
	advance(30 * time.Second)
	d := takeN(t, l, "k", 3)
	assert.EqualValues(t, 1, d.Remaining)
	assert.Equal(t, 10*time.Second, d.ReplenishAfter)
	assert.Equal(t, 20*time.Second, d.RetryAfter)
}

func TestCachedRefusalEndsWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	l, _, advance := twoInstances(t, slidingwindow.Limit{Name: "x", Max: 2, Window: time.Minute})
	require.True(t, allow(t, l, "k"))
	advance(40 * time.Second)
	require.True(t, allow(t, l, "k"))
	requireCached(t, l, "k", 1)
	advance(-10 * time.Second)
	d := takeN(t, l, "k", 1)
	assert.Equal(t, slidingwindow.ReasonRefused, d.Reason)
	assert.Equal(t, 30*time.Second, d.RetryAfter)
}

func TestAnotherCostOrLimitIsAnotherQuestion(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	store := redisStore(t, client, redistest.Prefix(t, client))
	l := newLimiter(t, store, slidingwindow.Limit{Name: "x", Max: 3, Window: time.Hour})
	require.True(t, takeN(t, l, "k", 2).Allowed)
	requireCached(t, l, "k", 2)
	require.True(t, allow(t, l, "k"), "one unit fits")
	d := takeN(t, l, "k", 2)
	assert.Zero(t, d.Remaining, "what this store took, its refusals tell at once")
	requireCached(t, l, "k", 1)

	wider := newLimiter(t, store, slidingwindow.Limit{Name: "x", Max: 5, Window: time.Hour})
	require.True(t, takeN(t, wider, "k", 1).Allowed, "a higher Max")
	shorter := newLimiter(t, store, slidingwindow.Limit{Name: "x", Max: 3, Window: time.Millisecond})
	require.Eventually(t, func() bool { return takeN(t, shorter, "k", 1).Allowed }, soon, tick, "another Window")
	both := newLimiter(t, store, slidingwindow.Limit{Name: "x", Max: 99, Window: time.Hour}, slidingwindow.PerHour(9))
	assert.True(t, takeN(t, both, "k", 1).Allowed)
	assert.True(t, allow(t, l, "other key"))
}

func TestMaxZeroIsCached(t *testing.T) {
	t.Parallel()
	limit := slidingwindow.Limit{Name: "blocked", Max: 0, Window: time.Minute}
	l, other, advance := twoInstances(t, limit)
	for range 3 {
		requireCached(t, l, "k", 1)
		assert.Equal(t, time.Minute, requireCached(t, l, "k", 1).RetryAfter, "no wait helps")
		advance(21 * time.Second)
	}
	unblocked, err := other.WithLimits(slidingwindow.Limit{Name: "blocked", Max: 1, Window: time.Minute})
	require.NoError(t, err)
	assert.True(t, allow(t, unblocked, "k"))
}

func TestResetAndRefundReopenAtOnceInTheirOwnProcess(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	store := redisStore(t, client, redistest.Prefix(t, client))
	l := newLimiter(t, store, slidingwindow.PerHour(1))
	d := takeN(t, l, "k", 1)
	for i := range 300 {
		for range i % 4 {
			require.False(t, allow(t, l, "k"))
		}
		if i%2 == 0 {
			require.NoError(t, l.Reset(t.Context(), "k"))
		} else {
			require.NoError(t, l.Refund(t.Context(), "k", d))
		}
		d = takeN(t, l, "k", 1)
		require.True(t, d.Allowed, "round %d", i)
	}
}

func TestRefusalOfBeforeAResetIsNotRemembered(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	store := redisStore(t, client, redistest.Prefix(t, client))
	limit := slidingwindow.PerHour(1)
	req := slidingwindow.Request{Key: "k", Limits: []slidingwindow.Limit{limit}, Cost: 1}
	refusal := slidingwindow.NewDecision(0, slidingwindow.Status{Limit: limit, RetryAfter: time.Hour, ReplenishAfter: time.Hour})
	store.Remember(req, refusal, func() { require.NoError(t, store.Reset(t.Context(), "k", req.Limits)) })
	assert.Zero(t, store.Refusals())
	store.Remember(req, refusal)
	assert.Equal(t, 1, store.Refusals())
}

func TestResetAndRefundReopenInOtherProcesses(t *testing.T) {
	t.Parallel()
	plain := func(*rueidis.ClientOption) {}
	for name, customize := range map[string]func(*rueidis.ClientOption){
		"default":         plain,
		"pipelining":      func(o *rueidis.ClientOption) { o.AlwaysPipelining = true },
		"no pipelining":   func(o *rueidis.ClientOption) { o.DisableAutoPipelining = true },
		"single":          func(o *rueidis.ClientOption) { o.ForceSingleClient = true },
		"broadcast":       func(o *rueidis.ClientOption) { o.ClientTrackingOptions = []string{"PREFIX", "test-", "BCAST"} },
		"no cache":        func(o *rueidis.ClientOption) { o.DisableCache = true },
		"RESP2, no cache": func(o *rueidis.ClientOption) { o.AlwaysRESP2, o.DisableCache = true, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := redistest.Client(t, customize)
			prefix := redistest.Prefix(t, client)
			limits := []slidingwindow.Limit{slidingwindow.PerHour(1), slidingwindow.PerDay(1000)}
			own := newLimiter(t, redisStore(t, client, prefix), limits...)
			other := newLimiter(t, redisStore(t, redistest.Client(t), prefix), limits...)
			reopensEverywhere(t, own, other, !strings.HasSuffix(name, "no cache"))
		})
	}
}

func reopensEverywhere(t *testing.T, own, other *slidingwindow.Limiter, caches bool) {
	t.Helper()
	for i := range 10 {
		key := "k" + strconv.Itoa(i)
		d := takeN(t, other, key, 1)
		require.True(t, d.Allowed)
		for range 3 {
			require.False(t, allow(t, own, key))
		}
		if caches {
			requireCached(t, own, key, 1)
		}
		if i%2 == 0 {
			require.NoError(t, other.Reset(t.Context(), key))
		} else {
			require.NoError(t, other.Refund(t.Context(), key, d))
		}
		requireReopened(t, own, key)
		require.False(t, allow(t, other, key))
	}
}

func TestCachedRefusalsInACluster(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Stop()) })
	connect := func() rueidis.Client {
		client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: cluster.Addrs()})
		require.NoError(t, err)
		t.Cleanup(client.Close)
		return client
	}
	limits := []slidingwindow.Limit{slidingwindow.PerHour(1), slidingwindow.PerDay(1000)}
	reopensEverywhere(t, newLimiter(t, redisStore(t, connect(), "rl"), limits...), newLimiter(t, redisStore(t, connect(), "rl"), limits...), true)
}

// A refund can leave a call refused, but for less long.
func TestCachedRefusalFollowsAPartialRefund(t *testing.T) {
	t.Parallel()
	l, other, advance := twoInstances(t, slidingwindow.Limit{Name: "x", Max: 4, Window: time.Hour})
	require.True(t, takeN(t, l, "k", 2).Allowed)
	advance(20 * time.Minute)
	second := takeN(t, other, "k", 2)
	require.True(t, second.Allowed)
	require.Equal(t, time.Hour, requireCached(t, l, "k", 3).RetryAfter, "until both have left")
	require.NoError(t, other.Refund(t.Context(), "k", second))
	require.Eventually(t, func() bool { return takeN(t, l, "k", 3).RetryAfter == 40*time.Minute }, soon, tick)
	requireCached(t, l, "k", 3)
	advance(40*time.Minute - time.Microsecond)
	require.False(t, takeN(t, l, "k", 3).Allowed)
	advance(time.Microsecond)
	require.True(t, takeN(t, l, "k", 3).Allowed)
}

// After a reset and a new hit Redis can answer in the same numbers as before, and mean
// another time.
func TestSameAnswerAtAnotherTimeIsAnother(t *testing.T) {
	t.Parallel()
	l, other, advance := twoInstances(t, slidingwindow.Limit{Name: "x", Max: 1, Window: time.Minute})
	require.True(t, allow(t, other, "k"))
	for range 3 {
		require.Equal(t, time.Minute, requireCached(t, l, "k", 1).RetryAfter)
		advance(10 * time.Second)
		require.NoError(t, other.Reset(t.Context(), "k"))
		require.True(t, allow(t, other, "k"))
		require.Eventually(t, func() bool { return takeN(t, l, "k", 1).RetryAfter == time.Minute }, soon, tick)
	}
}

func TestLostConnectionLosesTheCacheOnly(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	l, prefix := newRedisLimiter(t, client, slidingwindow.PerHour(1))
	require.True(t, allow(t, l, "k"))
	admin := redistest.Connect(t, "redis://"+address(client))
	other := newLimiter(t, redisStore(t, admin, prefix), slidingwindow.PerHour(1))
	becomes := func(reason slidingwindow.Reason) {
		t.Helper()
		require.Eventually(t, func() bool {
			d, err := l.Allow(t.Context(), "k") // what meets the end of a connection fails
			return err == nil && d.Reason == reason
		}, soon, tick)
	}
	for range 5 {
		becomes(slidingwindow.ReasonCached)
		require.NoError(t, do(t, admin, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Error())
		require.Eventually(t, func() bool { return other.Reset(t.Context(), "k") == nil }, soon, tick)
		becomes(slidingwindow.ReasonAllowed)
	}
}

func TestForgottenScriptEndsNoCaching(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	l, _ := newRedisLimiter(t, client, slidingwindow.PerHour(1))
	require.True(t, allow(t, l, "k"))
	for range 3 {
		require.False(t, allow(t, l, "k"))
		require.NoError(t, do(t, client, "SCRIPT", "FLUSH").Error())
		require.False(t, allow(t, l, "k"), "the question meets NOSCRIPT")
		requireCached(t, l, "k", 1)
		require.NoError(t, l.Reset(t.Context(), "k"))
		require.True(t, allow(t, l, "k"))
	}
}

func TestForeignDataEndsACachedRefusal(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	l, prefix := newRedisLimiter(t, client, slidingwindow.PerHour(1))
	require.True(t, allow(t, l, "k"))
	requireCached(t, l, "k", 1)
	require.NoError(t, do(t, client, "SET", slidingwindow.RedisKey(prefix, "k", "1-per-1h"), "v").Error())
	require.Eventually(t, func() bool {
		_, err := l.Allow(t.Context(), "k")
		return err != nil && assert.ErrorIs(t, err, slidingwindow.ErrForeignData)
	}, soon, tick)
}

func TestRedisThatIsGoneIsNoRefusal(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	client := redistest.Connect(t, server.URL())
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: 5 * time.Second})
	require.NoError(t, err)
	l := newLimiter(t, store, slidingwindow.PerHour(1))
	require.True(t, allow(t, l, "a-secret-key"))
	require.False(t, allow(t, l, "a-secret-key"))
	require.NoError(t, server.Freeze())
	_, err = l.Allow(t.Context(), "a-secret-key")
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable, "it hangs")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotContains(t, err.Error(), "a-secret-key")

	require.NoError(t, server.Thaw())
	require.Eventually(t, func() bool { _, err := l.Allow(t.Context(), "a-secret-key"); return err == nil }, soon, tick)
	requireCached(t, l, "a-secret-key", 1)
	require.NoError(t, server.Stop())
	require.Eventually(t, func() bool {
		_, err := l.Allow(t.Context(), "a-secret-key")
		return err != nil && assert.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable) && assert.NotContains(t, err.Error(), "a-secret-key")
	}, soon, tick)
}

func TestEndedContextIsNoRefusalEither(t *testing.T) {
	t.Parallel()
	l, _ := newRedisLimiter(t, redistest.Client(t), slidingwindow.PerHour(1))
	require.True(t, allow(t, l, "k"))
	requireCached(t, l, "k", 1)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Allow(ended, "k")
	require.ErrorIs(t, err, context.Canceled)
}

func TestClientWithoutACacheIsNoticed(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL(), func(o *rueidis.ClientOption) { o.DisableCache = true })
	l, _ := newRedisLimiter(t, client, slidingwindow.PerHour(1))
	require.True(t, allow(t, l, "k"))
	assert.Equal(t, map[string]int{"evalsha": 50, "evalsha_ro": 1}, ran(t, client, func() {
		for range 50 {
			require.False(t, allow(t, l, "k"))
		}
	}), "it is asked once")
}

// Whoever must not ask through the cache is refused all the same, and does not fill the
// server's ACL LOG.
func TestDeniedQuestionIsNotRepeated(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL())
	l, _ := newRedisLimiter(t, client, slidingwindow.PerHour(1))
	require.True(t, allow(t, l, "k"))
	require.NoError(t, do(t, client, "ACL", "SETUSER", "default", "-evalsha_ro").Error())
	for range 50 {
		require.False(t, allow(t, l, "k"))
	}
	counts, err := do(t, client, "ACL", "LOG").ToArray()
	require.NoError(t, err)
	require.Len(t, counts, 1)
	entry, err := counts[0].AsMap()
	require.NoError(t, err)
	count := entry["count"]
	times, err := count.AsInt64()
	require.NoError(t, err)
	assert.EqualValues(t, 1, times)
}

// A Reset or a Refund makes the cache miss. That is no sign of a client without one, however
// often it happens before the cache has answered at all.
func TestResetsAndRefundsDoNotSwitchCachingOff(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	store := redisStore(t, client, "rl")
	l := newLimiter(t, store, slidingwindow.PerHour(1))
	other := newLimiter(t, redisStore(t, redistest.Connect(t, "redis://"+address(client)), "rl"), slidingwindow.PerHour(1))
	for round := range 260 {
		d := takeN(t, l, "k", 1)
		require.True(t, d.Allowed)
		by := other
		if round%4 < 2 {
			by = l
		}
		require.False(t, allow(t, l, "k"))
		require.False(t, allow(t, l, "k"))
		if round%2 == 0 {
			require.NoError(t, by.Reset(t.Context(), "k"))
		} else {
			require.NoError(t, by.Refund(t.Context(), "k", d))
		}
		requireReopened(t, l, "k")
		require.NoError(t, l.Reset(t.Context(), "k"))
	}
	require.True(t, allow(t, l, "k"))
	requireCached(t, l, "k", 1)
	assert.Empty(t, ran(t, client, func() {
		for range 10_000 {
			require.False(t, allow(t, l, "k"))
		}
	}))
}

// Whatever touches the log makes the cache miss, and the answer is then not cached.
func TestOnlyWhatTookNoCommandIsCached(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	writer := redistest.Connect(t, "redis://"+address(client))
	for name, limits := range map[string][]slidingwindow.Limit{
		"one":     {slidingwindow.PerHour(1)},
		"several": {slidingwindow.PerHour(1), slidingwindow.PerDay(9)},
	} {
		l, prefix := newRedisLimiter(t, client, limits...)
		require.True(t, allow(t, l, "k"))
		commands, cached := 0, 0
		for i := range 400 {
			if i%3 == 0 {
				require.NoError(t, do(t, writer, "PEXPIRE", slidingwindow.RedisKey(prefix, "k", "1-per-1h"), "7200000").Error())
				time.Sleep(slidingwindow.Unlooked + tick) // else it need not look, and may not know
			}
			var d slidingwindow.Decision
			took := 0
			for _, n := range ran(t, client, func() { d = takeN(t, l, "k", 1) }) {
				took += n
			}
			require.False(t, d.Allowed)
			require.Equal(t, took == 0, d.Reason == slidingwindow.ReasonCached, "%s: %d commands, %s", name, took, d.Reason)
			commands += min(took, 1)
			cached += 1 - min(took, 1)
		}
		assert.Positive(t, commands)
		assert.Positive(t, cached)
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	store := redisStore(t, client, redistest.Prefix(t, client))
	limit := slidingwindow.PerHour(1)
	remember := func(key string, cost int64, retry time.Duration) {
		req := slidingwindow.Request{Key: key, Limits: []slidingwindow.Limit{limit}, Cost: cost}
		store.Remember(req, slidingwindow.NewDecision(0, slidingwindow.Status{Limit: limit, RetryAfter: retry, ReplenishAfter: retry}))
	}
	for cost := range int64(50) {
		remember("one key", cost, time.Hour)
		remember("one key", cost, time.Hour)
	}
	assert.Equal(t, 8, store.Refusals(), "of one key")
	remember("short", 1, 1999*time.Microsecond)
	assert.Equal(t, 8, store.Refusals(), "not worth it")
	for i := range 120_000 {
		remember("key "+strconv.Itoa(i), 1, time.Hour)
	}
	assert.LessOrEqual(t, store.Refusals(), 100_000)
	assert.Greater(t, store.Refusals(), 45_000, "half are the newest")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, store.Reset(ended, "one key", nil))
	for i := range 120_000 {
		require.Error(t, store.Reset(ended, "key "+strconv.Itoa(i), nil))
	}
	assert.Zero(t, store.Refusals(), "a reset that may have been done forgets")
}

func TestAFloodOfRefusalsDoesNotStay(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	now := storetest.Epoch
	store, err := slidingwindow.NewRedisStoreWithClock(client, slidingwindow.RedisConfig{}, "unused", func() time.Time { return now })
	require.NoError(t, err)
	limit := slidingwindow.PerHour(1)
	rememberN := func(key string, n int64) {
		store.Remember(slidingwindow.Request{Key: key, Limits: []slidingwindow.Limit{limit}, Cost: n},
			slidingwindow.NewDecision(0, slidingwindow.Status{Limit: limit, RetryAfter: time.Hour, ReplenishAfter: time.Hour}))
	}
	remember := func(key string) { rememberN(key, 1) }
	for n := range int64(50) {
		rememberN("one key", n+1)
		now = now.Add(2 * time.Second)
	}
	require.Equal(t, 8, store.Refusals(), "of one key")
	for i := range 60_000 {
		remember("flood " + strconv.Itoa(i))
	}
	require.Greater(t, store.Refusals(), 45_000)
	for range 3 {
		now = now.Add(11 * time.Second)
		for i := range 4096 { // some of each shard
			remember("later " + strconv.Itoa(i))
		}
	}
	assert.LessOrEqual(t, store.Refusals(), 4096)
}

func TestCachingWhereOnlyFIPSAlgorithmsAreAllowed(t *testing.T) {
	const mode = "fips140=only"
	if os.Getenv("GODEBUG") == mode {
		require.True(t, fips140.Enabled())
		l, _ := newRedisLimiter(t, redistest.Client(t), slidingwindow.PerHour(1))
		require.True(t, allow(t, l, "k"))
		requireCached(t, l, "k", 1)
		return
	}
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	again := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), "GODEBUG="+mode, "REDIS_URL="+redistest.URL(t))
	output, err := again.CombinedOutput()
	require.NoError(t, err, "%s", output)
	assert.Contains(t, string(output), "--- PASS: "+t.Name())
}

func address(client rueidis.Client) string {
	for addr := range client.Nodes() {
		return addr
	}
	return ""
}

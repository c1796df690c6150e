package slidingwindow_test

import (
	"context"
	"errors"
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

func TestMain(m *testing.M) {
	runTaker()
	redistest.Main(m)
}

func TestRedisStore(t *testing.T) {
	client := redistest.Client(t)
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		h, _ := redisHarness(t, client)
		return h
	})
}

// redisHarness is a store on real Redis that decides on a clock kept in Redis.
func redisHarness(t *testing.T, client rueidis.Client) (_ storetest.Harness, prefix string) {
	prefix = redistest.Prefix(t, client)
	clockKey := prefix + "-clock"
	now := storetest.Epoch
	set := func() {
		require.NoError(t, client.Do(context.Background(), client.B().Hset().Key(clockKey).FieldValue().
			FieldValue("s", strconv.FormatInt(now.Unix(), 10)).
			FieldValue("us", strconv.Itoa(now.Nanosecond()/1000)).Build()).Error())
	}
	set()
	// The tests check what is decided, not how fast: a slow machine must not fail them.
	config := slidingwindow.RedisConfig{Prefix: prefix, Timeout: 10 * time.Second}
	store, err := slidingwindow.NewRedisStoreWithClock(client, config, clockKey, func() time.Time { return now })
	require.NoError(t, err)
	return storetest.Harness{Store: store, Tick: time.Microsecond, Advance: func(d time.Duration) {
		now = now.Add(d)
		set()
	}}, prefix
}

// newRedisLimiter is a limiter as users make it, on Redis's own clock, with a key
// prefix of its own.
func newRedisLimiter(t *testing.T, client rueidis.Client, limits ...slidingwindow.Limit) (_ *slidingwindow.Limiter, prefix string) {
	prefix = redistest.Prefix(t, client)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: prefix, Timeout: 10 * time.Second})
	require.NoError(t, err)
	limiter, err := slidingwindow.New(store, limits...)
	require.NoError(t, err)
	return limiter, prefix
}

func do(t *testing.T, client rueidis.Client, command ...string) rueidis.RedisResult {
	t.Helper()
	return client.Do(t.Context(), client.B().Arbitrary(command...).Build())
}

// calls is how often Redis ran each command so far, by name.
func calls(t *testing.T, client rueidis.Client) map[string]int {
	t.Helper()
	info, err := do(t, client, "INFO", "commandstats").ToString()
	require.NoError(t, err)
	counts := map[string]int{}
	for line := range strings.Lines(info) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok {
			continue
		}
		count, _, _ := strings.Cut(rest, ",")
		counts[name], err = strconv.Atoi(count)
		require.NoError(t, err)
	}
	return counts
}

// privateServer is a Redis of this test alone, for tests that count its commands or
// change its settings.
func privateServer(t *testing.T, args ...string) rueidis.Client {
	t.Helper()
	server, err := redisserver.Start(t.Context(), args...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	return redistest.Connect(t, server.URL())
}

func TestPromise2_ARefusalWritesNothingToRedis(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	limits := []slidingwindow.Limit{slidingwindow.PerMinute(2), slidingwindow.PerHour(50)}
	l, prefix := newRedisLimiter(t, client, limits...)
	for range 2 {
		d, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
		require.True(t, d.Allowed)
	}
	dump := func() (keys []string) {
		for _, limit := range limits {
			key := slidingwindow.RedisKey(prefix, "k", limit.Name)
			value, err := do(t, client, "DUMP", key).ToString()
			require.NoError(t, err)
			expires, err := do(t, client, "PEXPIRETIME", key).AsInt64()
			require.NoError(t, err)
			keys = append(keys, value, strconv.FormatInt(expires, 10))
		}
		return keys
	}
	before, callsBefore := dump(), calls(t, client)
	const refusals = 25
	for i := range refusals {
		d, err := l.AllowN(t.Context(), "k", int64(1+i%2))
		require.NoError(t, err)
		require.False(t, d.Allowed)
		p, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
		require.False(t, p.Allowed)
	}
	ran := calls(t, client)
	for name := range ran {
		ran[name] -= callsBefore[name]
	}
	const questions = 2 // calls of one unit and of two
	assert.Equal(t, questions, ran["evalsha"], "each is refused by the script, and then known to be")
	assert.Equal(t, refusals+questions, ran["evalsha_ro"], "one read-only command for each Peek, and to be told of writes")
	for name, count := range ran {
		if strings.HasPrefix(name, "z") && count > 0 {
			assert.Contains(t, []string{"zcard", "zcount", "zrange"}, name, "a command that only reads")
		}
	}
	assert.Zero(t, ran["pexpire"])
	assert.Equal(t, before, dump())
}

func TestPromise5_EveryKeyExpiresByItself(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	for _, window := range []time.Duration{
		time.Millisecond, 1500 * time.Microsecond, 40 * time.Millisecond, time.Minute, 10 * 365 * 24 * time.Hour,
	} {
		limits := []slidingwindow.Limit{{Name: "a", Max: 5, Window: window}, {Name: "b", Max: 500, Window: 2 * window / 2}}
		l, prefix := newRedisLimiter(t, client, limits...)
		for _, cost := range []int64{1, 3, 1, 1} {
			_, err := l.AllowN(t.Context(), "k", cost)
			require.NoError(t, err)
			for _, limit := range limits {
				ttl, err := do(t, client, "PTTL", slidingwindow.RedisKey(prefix, "k", limit.Name)).AsInt64()
				require.NoError(t, err)
				if ttl == -2 {
					require.Less(t, window, time.Second, "it may be gone already, if the window is that short")
					continue
				}
				assert.NotEqualValues(t, -1, ttl, "a key without a time to live stays for ever")
				assert.LessOrEqual(t, ttl, (2*window + time.Millisecond - 1).Milliseconds())
			}
		}
		if window < time.Second {
			require.Eventually(t, func() bool {
				n, err := do(t, client, "EXISTS", slidingwindow.RedisKey(prefix, "k", "a")).AsInt64()
				return err == nil && n == 0
			}, patient, 5*time.Millisecond)
		}
	}
}

func TestPromise5_ALongerWindowKeepsTheKeyLonger(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	prefix := redistest.Prefix(t, client)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: prefix, Timeout: patient})
	require.NoError(t, err)
	for _, window := range []time.Duration{time.Second, time.Hour} {
		l, err := slidingwindow.New(store, slidingwindow.Limit{Name: "x", Max: 9, Window: window})
		require.NoError(t, err)
		_, err = l.Allow(t.Context(), "k")
		require.NoError(t, err)
	}
	ttl, err := do(t, client, "PTTL", slidingwindow.RedisKey(prefix, "k", "x")).AsInt64()
	require.NoError(t, err)
	assert.Greater(t, ttl, time.Hour.Milliseconds(), "the second hit counts for an hour")
}

// Two services that share a prefix and a name, as one that is being deployed does with itself.
func TestPromise9_WindowsOfTwoStoresOfOnePrefixEachHold(t *testing.T) {
	t.Parallel()
	one, other := redistest.Client(t), redistest.Client(t)
	prefix := redistest.Prefix(t, one)
	config := slidingwindow.RedisConfig{Prefix: prefix, Timeout: 10 * time.Second}
	hours, err := slidingwindow.NewRedisStore(one, config)
	require.NoError(t, err)
	moments, err := slidingwindow.NewRedisStore(other, config)
	require.NoError(t, err)
	hour := newLimiter(t, hours, slidingwindow.Limit{Name: "api", Max: 10, Window: time.Hour})
	moment := newLimiter(t, moments, slidingwindow.Limit{Name: "api", Max: 5, Window: 5 * time.Millisecond})
	for range 10 {
		require.True(t, allow(t, hour, "k"))
	}
	for range 5 {
		time.Sleep(20 * time.Millisecond) // so that all before have left the short window
		require.True(t, allow(t, moment, "k"))
		require.False(t, allow(t, hour, "k"), "0 more of the hour")
	}
}

// The time to live is set once a window.
func TestPromise5_ALogWithoutATimeToLiveGetsOneWithinAWindow(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	h, prefix := redisHarness(t, client)
	l := newLimiter(t, h.Store, slidingwindow.PerMinute(5))
	key := slidingwindow.RedisKey(prefix, "k", "5-per-1m")
	for _, cost := range []int64{1, 2} {
		_, err := l.AllowN(t.Context(), "k", cost)
		require.NoError(t, err)
		require.NoError(t, do(t, client, "PERSIST", key).Error())
		h.Advance(time.Minute + time.Microsecond)
		_, err = l.AllowN(t.Context(), "k", cost)
		require.NoError(t, err)
		ttl, err := do(t, client, "PTTL", key).AsInt64()
		require.NoError(t, err)
		assert.Positive(t, ttl)
	}
}

func TestPromise5_TimeToLiveIsRoundedUp(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	h, prefix := redisHarness(t, client)
	for window, want := range map[time.Duration]int64{
		time.Minute + time.Microsecond:       120_001,
		time.Minute + 499*time.Microsecond:   120_001,
		10 * 365 * 24 * time.Hour:            20 * 365 * 24 * 3600 * 1000,
		time.Hour + 999_999*time.Microsecond: 2*3600*1000 + 2000,
	} {
		l := newLimiter(t, h.Store, slidingwindow.Limit{Name: "x", Max: 5, Window: window})
		require.True(t, allow(t, l, window.String()))
		ttl, err := do(t, client, "PTTL", slidingwindow.RedisKey(prefix, window.String(), "x")).AsInt64()
		require.NoError(t, err)
		assert.LessOrEqual(t, ttl, want, window)
		assert.Greater(t, ttl, want-10_000, window)
	}
}

// Some boards have no clock of their own, and begin at 1970.
func TestClockThatWasNeverSet(t *testing.T) {
	t.Parallel()
	h, _ := redisHarness(t, redistest.Client(t))
	h.Advance(time.Unix(60, 0).Sub(storetest.Epoch))
	l, err := slidingwindow.New(h.Store, slidingwindow.PerHour(10))
	require.NoError(t, err)
	take := func(n int64) slidingwindow.Decision {
		d, err := l.AllowN(t.Context(), "k", n)
		require.NoError(t, err)
		return d
	}
	require.EqualValues(t, 6, take(4).Remaining)
	require.EqualValues(t, 5, take(1).Remaining)
	h.Advance(time.Minute)
	require.EqualValues(t, 1, take(4).Remaining)
	require.Equal(t, 59*time.Minute, take(4).RetryAfter)
	h.Advance(59 * time.Minute)
	require.EqualValues(t, 2, take(4).Remaining)
}

// Logs of single units are the cheap ones, so a log becomes one again.
func TestSumOfDearCallsLeavesTheLogWithThem(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	h, prefix := redisHarness(t, client)
	l, err := slidingwindow.New(h.Store, slidingwindow.Limit{Name: "x", Max: 9, Window: time.Minute})
	require.NoError(t, err)
	_, err = l.AllowN(t.Context(), "k", 5)
	require.NoError(t, err)
	h.Advance(30 * time.Second)
	_, err = l.Allow(t.Context(), "k")
	require.NoError(t, err)
	h.Advance(30 * time.Second)
	_, err = l.Allow(t.Context(), "k")
	require.NoError(t, err)
	h.Advance(31 * time.Second)
	_, err = l.Allow(t.Context(), "k")
	require.NoError(t, err)
	members, err := do(t, client, "ZRANGE", slidingwindow.RedisKey(prefix, "k", "x"), "0", "-1").AsStrSlice()
	require.NoError(t, err)
	assert.Len(t, members, 3, "a header and two hits")
	assert.Equal(t, "log1", members[0][:4])
}

func TestPromise5_ALogHoldsAtMostMaxEntries(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	h, prefix := redisHarness(t, client)
	l, err := slidingwindow.New(h.Store, slidingwindow.Limit{Name: "x", Max: 7, Window: time.Minute})
	require.NoError(t, err)
	for i := range 500 {
		_, err := l.AllowN(t.Context(), "k", int64(1+i%3))
		require.NoError(t, err)
		h.Advance(3 * time.Second)
	}
	entries, err := do(t, client, "ZCARD", slidingwindow.RedisKey(prefix, "k", "x")).AsInt64()
	require.NoError(t, err)
	assert.LessOrEqual(t, entries, int64(7+1), "a header, and an entry a call")
	assert.Positive(t, entries)
}

func TestPromise6_RetryAfterIsExactOnRedissOwnClock(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	now := func() time.Duration {
		t.Helper()
		parts, err := do(t, client, "TIME").AsIntSlice()
		require.NoError(t, err)
		return time.Duration(parts[0])*time.Second + time.Duration(parts[1])*time.Microsecond
	}
	l, _ := newRedisLimiter(t, client, slidingwindow.Limit{Max: 2, Window: 300 * time.Millisecond})
	for range 2 {
		_, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
	}
	before := now()
	d, err := l.Allow(t.Context(), "k")
	require.NoError(t, err)
	after := now()
	if after-before > 200*time.Millisecond {
		t.Log("the machine is too slow for this to say much")
	}
	for {
		started := now()
		retried, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
		ended := now()
		if started >= after+d.RetryAfter {
			assert.True(t, retried.Allowed)
		}
		if ended < before+d.RetryAfter {
			assert.False(t, retried.Allowed)
		}
		if retried.Allowed {
			return
		}
	}
}

func TestPromise8_AKeyOfAnotherTypeFailsItsOwnCallOnly(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	first, second := slidingwindow.PerMinute(5), slidingwindow.PerHour(5)
	l, prefix := newRedisLimiter(t, client, first, second)
	for name, spoil := range map[string][]string{
		"string":           {"SET", "?", "v"},
		"list":             {"RPUSH", "?", "v"},
		"foreign set":      {"ZADD", "?", "1", "somebody else's"},
		"foreign and time": {"ZADD", "?", "9999999999999999", "zz"},
		"entries removed":  {"ZADD", "?", "-6", "logn" + strings.Repeat("\x00", 21)}, // its header counts 5 units
		"many removed":     {"ZADD", "?", "-100", "logn" + strings.Repeat("\x00", 21)},
	} {
		spoil = append([]string(nil), spoil...)
		spoil[1] = slidingwindow.RedisKey(prefix, name, second.Name)
		require.NoError(t, do(t, client, spoil...).Error())

		errs := make(chan error, 40)
		for i := range cap(errs) {
			go func() {
				key := name
				if i%2 == 0 {
					key = "good"
				}
				_, err := l.Allow(t.Context(), key)
				if key == "good" && err != nil {
					err = errors.New("the good key failed: " + err.Error())
				} else if key == name && !errors.Is(err, slidingwindow.ErrForeignData) {
					err = errors.New("the bad key gave " + errorText(err))
				} else {
					err = nil
				}
				errs <- err
			}()
		}
		for range cap(errs) {
			assert.NoError(t, <-errs, name)
		}
		exists, err := do(t, client, "EXISTS", slidingwindow.RedisKey(prefix, name, first.Name)).AsInt64()
		require.NoError(t, err)
		assert.Zero(t, exists, "%s: the limit whose key is good was not charged", name)

		require.NoError(t, l.Reset(t.Context(), name), "the way out that the error names")
		d, err := l.Allow(t.Context(), name)
		require.NoError(t, err)
		assert.True(t, d.Allowed)
		require.NoError(t, l.Reset(t.Context(), "good"))
	}
}

func errorText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func TestOutOfMemoryTakesFromNoLimit(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	l, prefix := newRedisLimiter(t, client, slidingwindow.PerMinute(5), slidingwindow.PerHour(5))
	_, err := l.Allow(t.Context(), "k")
	require.NoError(t, err)
	require.NoError(t, do(t, client, "CONFIG", "SET", "maxmemory", "1").Error())
	for range 3 {
		_, err = l.Allow(t.Context(), "k")
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
		require.ErrorContains(t, err, "OOM")
	}
	require.NoError(t, do(t, client, "CONFIG", "SET", "maxmemory", "0").Error())
	for _, name := range []string{"5-per-1m", "5-per-1h"} {
		n, err := do(t, client, "ZCARD", slidingwindow.RedisKey(prefix, "k", name)).AsInt64()
		require.NoError(t, err)
		assert.EqualValues(t, 2, n, "%s: the header and the first call", name)
	}
}

func TestScriptIsSentAgainWhenRedisForgotIt(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	l, _ := newRedisLimiter(t, client, slidingwindow.PerMinute(3))
	for i := range 3 {
		require.NoError(t, do(t, client, "SCRIPT", "FLUSH").Error())
		d, err := l.Allow(t.Context(), "k")
		require.NoError(t, err)
		assert.EqualValues(t, 2-i, d.Remaining, "counted once")
	}
	ran := calls(t, client)
	assert.Equal(t, 3, ran["eval"])
	assert.Equal(t, 3, ran["evalsha"])
}

func TestUnreachableRedisIsATypedErrorWithItsCause(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	client := redistest.Connect(t, server.URL())
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Timeout: 3 * time.Second})
	require.NoError(t, err)
	l, err := slidingwindow.New(store, slidingwindow.PerMinute(5))
	require.NoError(t, err)
	_, err = l.Allow(t.Context(), "a-secret-key")
	require.NoError(t, err)
	require.NoError(t, server.Stop())

	for name, call := range map[string]func() error{
		"AllowN": func() error { _, err := l.AllowN(t.Context(), "a-secret-key", 2); return err },
		"Peek":   func() error { _, err := l.Peek(t.Context(), "a-secret-key"); return err },
		"Reset":  func() error { return l.Reset(t.Context(), "a-secret-key") },
	} {
		err := call()
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable, name)
		assert.NotContains(t, err.Error(), "a-secret-key", name)
		assert.NotEqual(t, slidingwindow.ErrStoreUnavailable, err, "%s: the cause is wrapped", name)
	}
}

func TestHungRedisIsGivenUpAfterTheTimeout(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL(), func(option *rueidis.ClientOption) { option.AlwaysPipelining = true })
	waits, prefix := newRedisLimiter(t, client, slidingwindow.PerMinute(5))
	_, err = waits.Allow(t.Context(), "k")
	require.NoError(t, err)
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: prefix, Timeout: 50 * time.Millisecond})
	require.NoError(t, err)
	l, err := slidingwindow.New(store, slidingwindow.PerMinute(5))
	require.NoError(t, err)
	// Without the timeout, these calls would block until rueidis gives up after 10s.
	require.NoError(t, server.Freeze())
	defer func() { assert.NoError(t, server.Thaw()) }()
	_, err = l.Allow(t.Context(), "k")
	require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "50ms")

	// The connection on which the first call was given up may fail one that joins it.
	require.Eventually(t, func() bool {
		caller, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := l.Allow(caller, "k")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		return !errors.Is(err, slidingwindow.ErrStoreUnavailable)
	}, patient, time.Millisecond, "the caller's own deadline says nothing about Redis")
}

func TestRedisConfigIsChecked(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	for _, test := range []struct {
		client rueidis.Client
		config slidingwindow.RedisConfig
		want   string
	}{
		{nil, slidingwindow.RedisConfig{}, "client is nil"},
		{client, slidingwindow.RedisConfig{Prefix: "a{b"}, `RedisConfig.Prefix is "a{b"; allowed`},
		{client, slidingwindow.RedisConfig{Prefix: "a}b"}, "Prefix"},
		{client, slidingwindow.RedisConfig{Prefix: "a b"}, "Prefix"},
		{client, slidingwindow.RedisConfig{Prefix: "a\nb"}, `"a\nb"`},
		{client, slidingwindow.RedisConfig{Prefix: "ключ"}, "Prefix"},
		{client, slidingwindow.RedisConfig{Prefix: strings.Repeat("p", 65)}, "Prefix"},
		{client, slidingwindow.RedisConfig{Timeout: -1}, "RedisConfig.Timeout is -1ns; allowed: more than 0s"},
		{client, slidingwindow.RedisConfig{BatchSize: -1}, "RedisConfig.BatchSize is -1; allowed: 1 or more (0 stands for the default of 256)"},
		{client, slidingwindow.RedisConfig{BatchesInFlight: -2}, "RedisConfig.BatchesInFlight is -2; allowed: 1 or more (0 stands for the default)"},
	} {
		_, err := slidingwindow.NewRedisStore(test.client, test.config)
		require.ErrorIs(t, err, slidingwindow.ErrInvalidConfig)
		assert.ErrorContains(t, err, test.want)
	}
	_, err := slidingwindow.NewRedisStore(nil, slidingwindow.RedisConfig{Prefix: "{", Timeout: -1})
	for _, want := range []string{"client", "Prefix", "Timeout"} {
		assert.ErrorContains(t, err, want, "all faults at once")
	}
}

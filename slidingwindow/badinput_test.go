package slidingwindow_test

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// TestBadInput has every argument that this package refuses, and the whole error: which
// setting, what was given, what is allowed.
func TestBadInput(t *testing.T) {
	t.Parallel()
	type limits = []slidingwindow.Limit
	client := redistest.Client(t)
	inMemory := newMemoryStore(t, memory.Config{})
	two := newLimiter(t, inMemory, slidingwindow.Limit{Name: "burst", Max: 5, Window: time.Second}, slidingwindow.Limit{Name: "daily", Max: 9, Window: time.Hour})
	one := newLimiter(t, inMemory, slidingwindow.Limit{Name: "one", Max: 1, Window: time.Hour})
	taken, err := one.Allow(t.Context(), "k")
	require.NoError(t, err)
	more, elsewhere := taken, taken
	more.Granted, elsewhere.Store = 2, "redis:other"
	encoded, err := taken.MarshalText()
	require.NoError(t, err)
	text := string(encoded)
	textErr := func(d slidingwindow.Decision) error {
		_, err := d.MarshalText()
		return err
	}
	fromText := func(text string) (d slidingwindow.Decision, err error) {
		return d, d.UnmarshalText([]byte(text))
	}
	var zero slidingwindow.Limiter
	var noStore slidingwindow.Store
	limited := func(max int64, window time.Duration) slidingwindow.Limit {
		return slidingwindow.Limit{Name: "x", Max: max, Window: window}
	}
	named := func(name string) slidingwindow.Limit {
		return slidingwindow.Limit{Name: name, Max: 1, Window: time.Second}
	}
	on := func(store slidingwindow.Store, limits ...slidingwindow.Limit) error {
		_, err := slidingwindow.New(store, limits...)
		return err
	}
	with := func(limits ...slidingwindow.Limit) error {
		_, err := one.WithLimits(limits...)
		return err
	}
	redis := func(config slidingwindow.RedisConfig) error {
		_, err := slidingwindow.NewRedisStore(client, config)
		return err
	}
	allowN := func(l *slidingwindow.Limiter, key string, n int64) error {
		_, err := l.AllowN(t.Context(), key, n)
		return err
	}
	peek := func(l *slidingwindow.Limiter, key string) error {
		_, err := l.Peek(t.Context(), key)
		return err
	}
	ofMemory := func(config memory.Config) error {
		_, err := memory.NewWithConfig(config)
		return err
	}
	ofNoClient := func(config slidingwindow.RedisConfig) error {
		_, err := slidingwindow.NewRedisStore(nil, config)
		return err
	}
	rows := []struct {
		err  error
		want string
		is   error
	}{
		// The number of units.
		{err: limited(-1, time.Second).Validate(), want: `slidingwindow: invalid limit: Max of "x" is -1; allowed: 0 to 999999999999999 units`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(math.MinInt64, time.Second).Validate(), want: `slidingwindow: invalid limit: Max of "x" is -9223372036854775808; allowed: 0 to 999999999999999 units`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(1_000_000_000_000_000, time.Second).Validate(), want: `slidingwindow: invalid limit: Max of "x" is 1000000000000000; allowed: 0 to 999999999999999 units`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(math.MaxInt64, time.Second).Validate(), want: `slidingwindow: invalid limit: Max of "x" is 9223372036854775807; allowed: 0 to 999999999999999 units`, is: slidingwindow.ErrInvalidLimit},
		{err: slidingwindow.PerSecond(-1).Validate(), want: `slidingwindow: invalid limit: Max of "-1-per-1s" is -1; allowed: 0 to 999999999999999 units`, is: slidingwindow.ErrInvalidLimit},
		{err: slidingwindow.PerMinute(-1).Validate(), want: `slidingwindow: invalid limit: Max of "-1-per-1m" is -1; allowed: 0 to 999999999999999 units`, is: slidingwindow.ErrInvalidLimit},
		{err: slidingwindow.PerHour(-1).Validate(), want: `slidingwindow: invalid limit: Max of "-1-per-1h" is -1; allowed: 0 to 999999999999999 units`, is: slidingwindow.ErrInvalidLimit},
		{err: slidingwindow.PerDay(math.MaxInt64).Validate(), want: `slidingwindow: invalid limit: Max of "9223372036854775807-per-24h" is 9223372036854775807; allowed: 0 to 999999999999999 units`, is: slidingwindow.ErrInvalidLimit},
		// The window.
		{err: limited(1, 0).Validate(), want: `slidingwindow: invalid limit: Window of "x" is 0s; allowed: 1ms to 87600h`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(1, 15).Validate(), want: `slidingwindow: invalid limit: Window of "x" is 15ns; allowed: 1ms to 87600h`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(1, -time.Second).Validate(), want: `slidingwindow: invalid limit: Window of "x" is -1s; allowed: 1ms to 87600h`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(1, math.MinInt64).Validate(), want: `slidingwindow: invalid limit: Window of "x" is -2562047h47m16.854775808s; allowed: 1ms to 87600h`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(1, math.MaxInt64).Validate(), want: `slidingwindow: invalid limit: Window of "x" is 2562047h47m16.854775807s; allowed: 1ms to 87600h`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(1, time.Millisecond-1).Validate(), want: `slidingwindow: invalid limit: Window of "x" is 999.999µs; allowed: 1ms to 87600h`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(1, time.Millisecond+1).Validate(), want: `slidingwindow: invalid limit: Window of "x" is 1.000001ms; allowed: whole microseconds`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(1, time.Second/3).Validate(), want: `slidingwindow: invalid limit: Window of "x" is 333.333333ms; allowed: whole microseconds`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(1, 87600*time.Hour+time.Microsecond).Validate(), want: `slidingwindow: invalid limit: Window of "x" is 87600h0m0.000001s; allowed: 1ms to 87600h`, is: slidingwindow.ErrInvalidLimit},
		{err: limited(1, 87600*time.Hour+1).Validate(), want: `slidingwindow: invalid limit: Window of "x" is 87600h0m0.000000001s; allowed: 1ms to 87600h`, is: slidingwindow.ErrInvalidLimit},
		// The name.
		{err: named("a\nb").Validate(), want: `slidingwindow: invalid limit: Name of "a\nb" is "a\nb"; allowed: printable ASCII characters`, is: slidingwindow.ErrInvalidLimit},
		{err: named("a\r\nSet-Cookie: a=b").Validate(), want: `slidingwindow: invalid limit: Name of "a\r\nSet-Cookie: a=b" is "a\r\nSet-Cookie: a=b"; allowed: printable ASCII characters`, is: slidingwindow.ErrInvalidLimit},
		{err: named("\x00").Validate(), want: `slidingwindow: invalid limit: Name of "\x00" is "\x00"; allowed: printable ASCII characters`, is: slidingwindow.ErrInvalidLimit},
		{err: named("\x7f").Validate(), want: `slidingwindow: invalid limit: Name of "\x7f" is "\x7f"; allowed: printable ASCII characters`, is: slidingwindow.ErrInvalidLimit},
		{err: named("\t").Validate(), want: `slidingwindow: invalid limit: Name of "\t" is "\t"; allowed: printable ASCII characters`, is: slidingwindow.ErrInvalidLimit},
		{err: named("\x1b[31m").Validate(), want: `slidingwindow: invalid limit: Name of "\x1b[31m" is "\x1b[31m"; allowed: printable ASCII characters`, is: slidingwindow.ErrInvalidLimit},
		{err: named("ключ").Validate(), want: `slidingwindow: invalid limit: Name of "\u043a\u043b\u044e\u0447" is "\u043a\u043b\u044e\u0447"; allowed: printable ASCII characters`, is: slidingwindow.ErrInvalidLimit},
		{err: named("\xff").Validate(), want: `slidingwindow: invalid limit: Name of "\xff" is "\xff"; allowed: printable ASCII characters`, is: slidingwindow.ErrInvalidLimit},
		{err: named("\ufeffapi").Validate(), want: `slidingwindow: invalid limit: Name of "\ufeffapi" is "\ufeffapi"; allowed: printable ASCII characters`, is: slidingwindow.ErrInvalidLimit},
		{err: named("a\u00a0b").Validate(), want: `slidingwindow: invalid limit: Name of "a\u00a0b" is "a\u00a0b"; allowed: printable ASCII characters`, is: slidingwindow.ErrInvalidLimit},
		{err: named(strings.Repeat("n", 65)).Validate(), want: `slidingwindow: invalid limit: Name of "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn..." is 65 bytes; allowed: at most 64 bytes`, is: slidingwindow.ErrInvalidLimit},
		{err: named(strings.Repeat("n", 1<<20)).Validate(), want: `slidingwindow: invalid limit: Name of "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn..." is 1048576 bytes; allowed: at most 64 bytes`, is: slidingwindow.ErrInvalidLimit},
		{err: named(strings.Repeat("\n", 65)).Validate(), want: "slidingwindow: invalid limit: Name of \"\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n...\" is 65 bytes; allowed: at most 64 bytes\nslidingwindow: invalid limit: Name of \"\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n...\" is \"\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n...\"; allowed: printable ASCII characters", is: slidingwindow.ErrInvalidLimit},
		// All at once.
		{err: named(strings.Repeat("\x00", 1<<20)).Validate(), want: "slidingwindow: invalid limit: Name of \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00...\" is 1048576 bytes; allowed: at most 64 bytes\nslidingwindow: invalid limit: Name of \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00...\" is \"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00...\"; allowed: printable ASCII characters", is: slidingwindow.ErrInvalidLimit},
		{err: slidingwindow.Limit{}.Validate(), want: `slidingwindow: invalid limit: Window of "0-per-0s" is 0s; allowed: 1ms to 87600h`, is: slidingwindow.ErrInvalidLimit},
		{err: slidingwindow.Limit{Name: "\n", Max: -1, Window: -1}.Validate(), want: "slidingwindow: invalid limit: Name of \"\\n\" is \"\\n\"; allowed: printable ASCII characters\nslidingwindow: invalid limit: Max of \"\\n\" is -1; allowed: 0 to 999999999999999 units\nslidingwindow: invalid limit: Window of \"\\n\" is -1ns; allowed: 1ms to 87600h", is: slidingwindow.ErrInvalidLimit},
		// New and With.
		{err: on(nil, named("a")), want: `slidingwindow: invalid configuration: store is nil; make one with NewRedisStore or memory.New`, is: slidingwindow.ErrInvalidConfig},
		{err: on(noStore, named("a")), want: `slidingwindow: invalid configuration: store is nil; make one with NewRedisStore or memory.New`, is: slidingwindow.ErrInvalidConfig},
		{err: on((*slidingwindow.RedisStore)(nil), named("a")), want: `slidingwindow: invalid configuration: store is nil; make one with NewRedisStore or memory.New`, is: slidingwindow.ErrInvalidConfig},
		{err: on((*memory.Store)(nil), named("a")), want: `slidingwindow: invalid configuration: store is nil; make one with NewRedisStore or memory.New`, is: slidingwindow.ErrInvalidConfig},
		{err: on(inMemory), want: `slidingwindow: invalid limit: none was given; allowed: one or more, such as PerMinute(100)`, is: slidingwindow.ErrInvalidLimit},
		{err: on(inMemory, limits{}...), want: `slidingwindow: invalid limit: none was given; allowed: one or more, such as PerMinute(100)`, is: slidingwindow.ErrInvalidLimit},
		{err: on(inMemory, slidingwindow.Limit{}), want: `slidingwindow: invalid limit: Window of "0-per-0s" is 0s; allowed: 1ms to 87600h`, is: slidingwindow.ErrInvalidLimit},
		{err: on(inMemory, named("a"), named("a")), want: `slidingwindow: invalid limit: limits 0 and 1 are both named "a", so they would share one log; allowed: a Name of its own for each`, is: slidingwindow.ErrInvalidLimit},
		{err: on(inMemory, slidingwindow.PerMinute(1), named("b"), slidingwindow.Limit{Max: 1, Window: 60 * time.Second}), want: `slidingwindow: invalid limit: limits 0 and 2 are both named "1-per-1m", so they would share one log; allowed: a Name of its own for each`, is: slidingwindow.ErrInvalidLimit},
		{err: on(inMemory, named("a"), named("b"), named("a"), named("a")), want: "slidingwindow: invalid limit: limits 0 and 2 are both named \"a\", so they would share one log; allowed: a Name of its own for each\nslidingwindow: invalid limit: limits 0 and 3 are both named \"a\", so they would share one log; allowed: a Name of its own for each", is: slidingwindow.ErrInvalidLimit},
		{err: on(inMemory, limited(-1, time.Second), limited(1, 0)), want: "slidingwindow: invalid limit: Max of \"x\" is -1; allowed: 0 to 999999999999999 units\nslidingwindow: invalid limit: Window of \"x\" is 0s; allowed: 1ms to 87600h", is: slidingwindow.ErrInvalidLimit},
		{err: with(), want: `slidingwindow: invalid limit: none was given; allowed: one or more, such as PerMinute(100)`, is: slidingwindow.ErrInvalidLimit},
		{err: with(named("\n")), want: `slidingwindow: invalid limit: Name of "\n" is "\n"; allowed: printable ASCII characters`, is: slidingwindow.ErrInvalidLimit},
		{err: with(named("a"), named("a")), want: `slidingwindow: invalid limit: limits 0 and 1 are both named "a", so they would share one log; allowed: a Name of its own for each`, is: slidingwindow.ErrInvalidLimit},
		// The stores.
		{err: ofNoClient(slidingwindow.RedisConfig{}), want: `slidingwindow: invalid configuration: client is nil; make one with rueidis.NewClient or the config package`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{Prefix: " "}), want: `slidingwindow: invalid configuration: RedisConfig.Prefix is " "; allowed: 1 to 64 printable ASCII characters other than the space, { and }`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{Prefix: "a b"}), want: `slidingwindow: invalid configuration: RedisConfig.Prefix is "a b"; allowed: 1 to 64 printable ASCII characters other than the space, { and }`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{Prefix: "{a}"}), want: `slidingwindow: invalid configuration: RedisConfig.Prefix is "{a}"; allowed: 1 to 64 printable ASCII characters other than the space, { and }`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{Prefix: "}"}), want: `slidingwindow: invalid configuration: RedisConfig.Prefix is "}"; allowed: 1 to 64 printable ASCII characters other than the space, { and }`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{Prefix: "a\r\n"}), want: `slidingwindow: invalid configuration: RedisConfig.Prefix is "a\r\n"; allowed: 1 to 64 printable ASCII characters other than the space, { and }`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{Prefix: "\x00"}), want: `slidingwindow: invalid configuration: RedisConfig.Prefix is "\x00"; allowed: 1 to 64 printable ASCII characters other than the space, { and }`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{Prefix: "é"}), want: `slidingwindow: invalid configuration: RedisConfig.Prefix is "\u00e9"; allowed: 1 to 64 printable ASCII characters other than the space, { and }`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{Prefix: strings.Repeat("p", 65)}), want: `slidingwindow: invalid configuration: RedisConfig.Prefix is "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp..."; allowed: 1 to 64 printable ASCII characters other than the space, { and }`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{Timeout: -1}), want: `slidingwindow: invalid configuration: RedisConfig.Timeout is -1ns; allowed: more than 0s (0s stands for the default of 250ms)`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{Timeout: math.MinInt64}), want: `slidingwindow: invalid configuration: RedisConfig.Timeout is -2562047h47m16.854775808s; allowed: more than 0s (0s stands for the default of 250ms)`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{BatchSize: -1}), want: `slidingwindow: invalid configuration: RedisConfig.BatchSize is -1; allowed: 1 or more (0 stands for the default of 256)`, is: slidingwindow.ErrInvalidConfig},
		{err: redis(slidingwindow.RedisConfig{BatchesInFlight: -1 << 31}), want: `slidingwindow: invalid configuration: RedisConfig.BatchesInFlight is -2147483648; allowed: 1 or more (0 stands for the default)`, is: slidingwindow.ErrInvalidConfig},
		{err: ofNoClient(slidingwindow.RedisConfig{Prefix: "{", Timeout: -1, BatchSize: -1, BatchesInFlight: -1}), want: "slidingwindow: invalid configuration: client is nil; make one with rueidis.NewClient or the config package\nslidingwindow: invalid configuration: RedisConfig.Prefix is \"{\"; allowed: 1 to 64 printable ASCII characters other than the space, { and }\nslidingwindow: invalid configuration: RedisConfig.Timeout is -1ns; allowed: more than 0s (0s stands for the default of 250ms)\nslidingwindow: invalid configuration: RedisConfig.BatchSize is -1; allowed: 1 or more (0 stands for the default of 256)\nslidingwindow: invalid configuration: RedisConfig.BatchesInFlight is -1; allowed: 1 or more (0 stands for the default)", is: slidingwindow.ErrInvalidConfig},
		{err: ofMemory(memory.Config{MaxKeys: -1}), want: `slidingwindow: invalid configuration: memory.Config.MaxKeys is -1; allowed: 1 or more keys (0 stands for the default of 100000)`, is: slidingwindow.ErrInvalidConfig},
		{err: ofMemory(memory.Config{MaxKeys: -1 << 31}), want: `slidingwindow: invalid configuration: memory.Config.MaxKeys is -2147483648; allowed: 1 or more keys (0 stands for the default of 100000)`, is: slidingwindow.ErrInvalidConfig},
		// Calls.
		{err: allowN(two, "k", 0), want: `slidingwindow: invalid cost: 0; allowed: 1 or more units (Peek asks without taking any)`, is: slidingwindow.ErrInvalidCost},
		{err: allowN(two, "k", -1), want: `slidingwindow: invalid cost: -1; allowed: 1 or more units (Peek asks without taking any)`, is: slidingwindow.ErrInvalidCost},
		{err: allowN(two, "k", math.MinInt64), want: `slidingwindow: invalid cost: -9223372036854775808; allowed: 1 or more units (Peek asks without taking any)`, is: slidingwindow.ErrInvalidCost},
		{err: allowN(two, "k", 6), want: `slidingwindow: cost exceeds limit: 6 units asked of limit "burst"; allowed: at most its Max of 5`, is: slidingwindow.ErrCostExceedsLimit},
		{err: allowN(two, "k", math.MaxInt64), want: `slidingwindow: cost exceeds limit: 9223372036854775807 units asked of limit "burst"; allowed: at most its Max of 5`, is: slidingwindow.ErrCostExceedsLimit},
		{err: allowN(one, "k", 2), want: `slidingwindow: cost exceeds limit: 2 units asked of limit "one"; allowed: at most its Max of 1`, is: slidingwindow.ErrCostExceedsLimit},
		{err: allowN(two, "", 1), want: `slidingwindow: invalid key: it is empty; give each caller a key of its own`, is: slidingwindow.ErrInvalidKey},
		{err: peek(two, ""), want: `slidingwindow: invalid key: it is empty; give each caller a key of its own`, is: slidingwindow.ErrInvalidKey},
		{err: two.Reset(t.Context(), ""), want: `slidingwindow: invalid key: it is empty; give each caller a key of its own`, is: slidingwindow.ErrInvalidKey},
		{err: one.Refund(t.Context(), "", taken), want: `slidingwindow: invalid key: it is empty; give each caller a key of its own`, is: slidingwindow.ErrInvalidKey},
		{err: one.Refund(t.Context(), "other", taken), want: `slidingwindow: invalid key: it is not the key that the units were taken from; allowed: that of the call`, is: slidingwindow.ErrInvalidKey},
		{err: one.Refund(t.Context(), "k ", taken), want: `slidingwindow: invalid key: it is not the key that the units were taken from; allowed: that of the call`, is: slidingwindow.ErrInvalidKey},
		{err: errOf(two.AllowCost(t.Context(), "k", slidingwindow.Cost{"bursts": 1})), want: `slidingwindow: invalid cost: no limit is named "bursts"; allowed: "burst", ` + strconv.Quote(two.Limits()[1].Name), is: slidingwindow.ErrInvalidCost},
		{err: errOf(one.AllowCost(t.Context(), "k", slidingwindow.Cost{"one": -1, "\n": 1})), want: "slidingwindow: invalid cost: -1 units of limit \"one\"; allowed: 0 to 999999999999999\nslidingwindow: invalid cost: no limit is named \"\\n\"; allowed: \"one\"", is: slidingwindow.ErrInvalidCost},
		{err: errOf(one.AllowCost(t.Context(), "k", nil)), want: `slidingwindow: invalid cost: nothing is asked of any limit; allowed: 1 or more units of one of "one" (Peek asks without taking any)`, is: slidingwindow.ErrInvalidCost},
		{err: errOf(one.AllowAtMost(t.Context(), "k", 0)), want: `slidingwindow: invalid cost: 0; allowed: 1 or more units (Peek asks without taking any)`, is: slidingwindow.ErrInvalidCost},
		{err: errOf(one.Reserve(t.Context(), "k", 1, -time.Second)), want: `slidingwindow: invalid wait: maxWait is -1s; allowed: 0s or more`, is: slidingwindow.ErrInvalidWait},
		{err: one.WaitN(t.Context(), "k", 2), want: `slidingwindow: cost exceeds limit: 2 units asked of limit "one"; allowed: at most its Max of 1`, is: slidingwindow.ErrCostExceedsLimit},
		{err: one.Settle(t.Context(), "k", taken, slidingwindow.Cost{"two": 1}), want: `slidingwindow: invalid cost: no limit is named "two"; allowed: "one"`, is: slidingwindow.ErrInvalidCost},
		{err: one.Charge(t.Context(), "k", slidingwindow.Cost{"one": -1}), want: `slidingwindow: invalid cost: -1 units of limit "one"; allowed: 0 to 999999999999999`, is: slidingwindow.ErrInvalidCost},
		// Decisions, and their texts.
		{err: one.Refund(t.Context(), "k", more), want: `slidingwindow: decision changed: Granted is 2; allowed: the 1 that the call took`, is: slidingwindow.ErrDecisionChanged},
		{err: textErr(more), want: `slidingwindow: decision changed: Granted is 2; allowed: the 1 that the call took`, is: slidingwindow.ErrDecisionChanged},
		{err: one.Refund(t.Context(), "k", elsewhere), want: `slidingwindow: decision of another store: Decision.Store is "redis:other"; allowed: "` + taken.Store + `"`, is: slidingwindow.ErrForeignDecision},
		{err: errOf(fromText("")), want: `slidingwindow: decision changed: the text of 0 bytes does not begin with its version; allowed: a text as MarshalText returned it`, is: slidingwindow.ErrDecisionChanged},
		{err: errOf(fromText(text[:11])), want: `slidingwindow: decision changed: the text of 11 bytes is not whole; allowed: a text as MarshalText returned it`, is: slidingwindow.ErrDecisionChanged},
		{err: errOf(fromText(text + "AAAA")), want: fmt.Sprintf(`slidingwindow: decision changed: the text of %d bytes does not match its checksum; allowed: a text as MarshalText returned it`, len(text)+4), is: slidingwindow.ErrDecisionChanged},
		{err: errOf(fromText(text + "\n")), want: fmt.Sprintf(`slidingwindow: decision changed: the text of %d bytes is not as MarshalText writes it; allowed: a text as MarshalText returned it`, len(text)+1), is: slidingwindow.ErrDecisionChanged},
		{err: errOf(fromText("2" + text[1:])), want: `slidingwindow: decision of another version: the text is of version 2; allowed: version 1`, is: slidingwindow.ErrDecisionVersion},
		// A Limiter that New did not make.
		{err: errOf(zero.AllowCost(t.Context(), "k", slidingwindow.Cost{"a": 1})), want: `slidingwindow: invalid configuration: the Limiter was not made with New`, is: slidingwindow.ErrInvalidConfig},
		{err: zero.Charge(t.Context(), "k", slidingwindow.Cost{"a": 1}), want: `slidingwindow: invalid configuration: the Limiter was not made with New`, is: slidingwindow.ErrInvalidConfig},
		{err: zero.Wait(t.Context(), "k"), want: `slidingwindow: invalid configuration: the Limiter was not made with New`, is: slidingwindow.ErrInvalidConfig},
		{err: zero.Settle(t.Context(), "k", taken, slidingwindow.Cost{}), want: `slidingwindow: invalid configuration: the Limiter was not made with New`, is: slidingwindow.ErrInvalidConfig},
		{err: allowN(&zero, "k", 1), want: `slidingwindow: invalid configuration: the Limiter was not made with New`, is: slidingwindow.ErrInvalidConfig},
		{err: peek(&zero, "k"), want: `slidingwindow: invalid configuration: the Limiter was not made with New`, is: slidingwindow.ErrInvalidConfig},
		{err: zero.Reset(t.Context(), "k"), want: `slidingwindow: invalid configuration: the Limiter was not made with New`, is: slidingwindow.ErrInvalidConfig},
		{err: zero.Refund(t.Context(), "k", taken), want: `slidingwindow: invalid configuration: the Limiter was not made with New`, is: slidingwindow.ErrInvalidConfig},
	}
	for _, row := range rows {
		assert.EqualError(t, row.err, row.want)
		assert.ErrorIs(t, row.err, row.is, row.want)
	}
	assert.GreaterOrEqual(t, len(rows), 83)
}

func errOf(_ slidingwindow.Decision, err error) error { return err }

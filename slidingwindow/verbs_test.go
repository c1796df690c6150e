package slidingwindow_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

// scripts runs decide.lua and refund.lua as no Limiter does yet, on a clock of the test.
type scripts struct {
	t      *testing.T
	client rueidis.Client
	prefix string
	now    time.Time
}

func newScripts(t *testing.T) *scripts {
	client := redistest.Client(t)
	return &scripts{t: t, client: client, prefix: redistest.Prefix(t, client), now: storetest.Epoch}
}

// asked is one limit of a call.
type asked struct {
	name   string
	max    int64
	window time.Duration
	cost   int64

	resolution time.Duration
}

// reply is what decide.lua says of one call: granted, then used and reset of each limit, then
// retry of each if granted is 0; and the time of its entry in each log.
type reply struct {
	granted            int64
	used, reset, retry []int64
	at                 []time.Time
}

func (s *scripts) decide(kind byte, ahead time.Duration, times int64, limits ...asked) reply {
	s.t.Helper()
	number := func(n int64, bytes int) string {
		return string(binary.BigEndian.AppendUint64(nil, uint64(n))[8-bytes:]) //nolint:gosec // it is not negative
	}
	run := string(kind) + number(ahead.Microseconds(), 7) + number(1, 4) + number(times, 4) + number(int64(len(limits)), 1)
	clock := fmt.Sprintf("{'%d', '%06d'}", s.now.Unix(), s.now.Nanosecond()/1000)
	command := []string{"EVAL", strings.Replace(slidingwindow.DecideScript, "redis.call('TIME')", clock, 1), strconv.Itoa(len(limits))}
	for _, limit := range limits {
		command = append(command, s.prefix+limit.name)
		run += number(limit.max, 7) + number(limit.window.Microseconds(), 7) + number(limit.cost, 7) + number(max(1, limit.resolution.Microseconds()), 7)
	}
	values, err := do(s.t, s.client, append(command, run)...).AsIntSlice()
	require.NoError(s.t, err)
	n := len(limits)
	r := reply{granted: values[1], at: slices.Repeat([]time.Time{s.now}, n)}
	rest := values[2:]
	for range limits {
		r.used, r.reset, rest = append(r.used, rest[0]), append(r.reset, rest[1]), rest[2:]
	}
	if r.granted == 0 {
		r.retry, rest = rest[:n], rest[n:]
	}
	for ; len(rest) >= 4; rest = rest[4:] {
		r.at[rest[1]] = time.UnixMicro(rest[3])
	}
	return r
}

func (s *scripts) settle(limit asked, at time.Time, had, units int64) {
	s.t.Helper()
	shared := "0"
	if limit.resolution > 0 {
		shared = "1"
	}
	require.NoError(s.t, do(s.t, s.client, "EVAL", slidingwindow.RefundScript, "1", s.prefix+limit.name,
		strconv.FormatInt(at.UnixMicro(), 10), strconv.FormatInt(had, 10), strconv.FormatInt(units, 10), shared).Error())
}

func TestScriptTakesACostPerLimitOrNothing(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	requests, tokens := asked{name: "r", max: 3, window: time.Minute, cost: 1}, asked{name: "t", max: 100, window: time.Hour, cost: 60}
	assert.Equal(t, []int64{1, 60}, s.decide('t', 0, 1, requests, tokens).used)
	s.now = s.now.Add(time.Second)
	r := s.decide('t', 0, 1, requests, tokens)
	assert.Zero(t, r.granted)
	assert.Equal(t, []int64{1, 60}, r.used, "a refusal by one takes from none")
	assert.Equal(t, []int64{0, 3_599_000_000}, r.retry)

	tokens.cost = 0
	for range 2 {
		s.now = s.now.Add(time.Second)
		require.EqualValues(t, 1, s.decide('t', 0, 1, requests, tokens).granted)
	}
	r = s.decide('p', 0, 1, requests, tokens)
	assert.Equal(t, []int64{3, 60}, r.used, "a cost of 0 takes nothing")
	assert.Zero(t, r.granted)
	tokens.max = 10
	assert.EqualValues(t, 1, s.decide('t', 0, 1, tokens).granted, "nor is it refused")
}

func TestScriptTakesAsManyAsFit(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	a, b := asked{name: "a", max: 10, window: time.Minute, cost: 1}, asked{name: "b", max: 7, window: time.Hour, cost: 1}
	assert.EqualValues(t, 4, s.decide('m', 0, 4, a, b).granted)
	s.now = s.now.Add(time.Second)
	r := s.decide('m', 0, 5, a, b)
	assert.EqualValues(t, 3, r.granted, "what is left of b")
	assert.Equal(t, []int64{7, 7}, r.used)
	entries, err := do(t, s.client, "ZCOUNT", s.prefix+"a", "0", "+inf").AsInt64()
	require.NoError(t, err)
	assert.EqualValues(t, 2, entries, "an entry a call")
	r = s.decide('m', 0, 5, a, b)
	assert.Zero(t, r.granted)
	assert.Equal(t, []int64{0, 3_599_000_000}, r.retry)
}

func TestScriptLeadsTheClock(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	limit := asked{name: "x", max: 3, window: time.Minute, cost: 2}
	r := s.decide('l', 10*time.Second, 1, limit)
	require.EqualValues(t, 1, r.granted)
	assert.Equal(t, s.now.Add(10*time.Second).UnixMicro(), r.at[0].UnixMicro())
	assert.Equal(t, []int64{70_000_000}, r.reset)
	assert.Equal(t, []int64{70_000_000}, s.decide('t', 0, 1, limit).retry, "it counts at once")
	s.now = s.now.Add(70*time.Second - time.Microsecond)
	assert.Zero(t, s.decide('t', 0, 1, limit).granted)
	s.now = s.now.Add(time.Microsecond)
	assert.EqualValues(t, 1, s.decide('t', 0, 1, limit).granted)
}

func TestScriptGivesWaitersPlacesInTime(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	limit := asked{name: "x", max: 2, window: time.Minute, cost: 1}
	began := s.now
	for i, want := range []time.Duration{0, time.Microsecond, time.Minute, time.Minute + time.Microsecond, 2 * time.Minute} {
		r := s.decide('w', 2*time.Minute, 1, limit)
		require.EqualValues(t, 1, r.granted, i)
		require.Equal(t, want, r.at[0].Sub(began), i)
	}
	r := s.decide('w', 2*time.Minute, 1, limit)
	assert.Zero(t, r.granted, "the next place is two minutes and a microsecond ahead")
	assert.Equal(t, []int64{120_000_001}, r.retry)
	assert.Equal(t, []int64{5}, r.used, "nothing was taken")
	s.now = s.now.Add(90 * time.Second)
	assert.Zero(t, s.decide('t', 0, 1, limit).granted, "nobody jumps the line")
	ttl, err := do(t, s.client, "PTTL", s.prefix+"x").AsInt64()
	require.NoError(t, err)
	assert.Greater(t, ttl, int64(180_000-10_000), "the log lives until the last place has left")

	line := asked{name: "line", max: 3, window: time.Minute, cost: 1}
	s.decide('l', 10*time.Second, 1, line)
	assert.Equal(t, 10*time.Second+time.Microsecond, s.decide('w', time.Minute, 1, line).at[0].Sub(s.now), "behind the newest entry, although it fits now")

	dear := asked{name: "dear", max: 2, window: time.Minute, cost: 3}
	assert.Zero(t, s.decide('w', time.Hour, 1, dear).granted, "no wait helps")
}

func TestScriptSettles(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	limit := asked{name: "x", max: 10, window: time.Minute, cost: 3}
	used := func() int64 { return s.decide('p', 0, 1, limit).used[0] }
	first := s.now
	s.decide('t', 0, 1, limit)
	s.now = s.now.Add(time.Second)
	second := s.now
	s.decide('t', 0, 1, limit)
	had := int64(3)
	for _, units := range []int64{5, 1, 12, 2} {
		s.settle(limit, first, had, units)
		s.settle(limit, first, had, units) // is not there any more
		require.Equal(t, 3+units, used())
		had = units
	}
	s.settle(limit, first, had, 3)
	s.settle(limit, second, 3, 0)
	require.EqualValues(t, 3, used())
	s.now = first.Add(time.Minute)
	require.Zero(t, used())
	s.settle(limit, first, 3, 9)
	require.Zero(t, used(), "what has left the window counts nothing")
	s.settle(limit, first, 9, 0)
	exists, err := do(t, s.client, "EXISTS", s.prefix+"x").AsInt64()
	require.NoError(t, err)
	assert.Zero(t, exists, "an empty log is no key")

	one := asked{name: "one", max: 10, window: time.Minute, cost: 1}
	s.decide('t', 0, 1, one)
	s.settle(one, s.now, 1, 5)
	assert.Equal(t, []int64{5}, s.decide('p', 0, 1, one).used, "a log of single units no longer")
}

// Two calls of one time that settle at the same units stay two.
func TestScriptSettlesAtTheUnitsOfAnotherCallOfItsTime(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	three, five := asked{name: "x", max: 20, window: time.Minute, cost: 3}, asked{name: "x", max: 20, window: time.Minute, cost: 5}
	s.decide('t', 0, 1, three)
	s.decide('t', 0, 1, five)
	s.settle(three, s.now, 3, 5)
	assert.Equal(t, []int64{10}, s.decide('p', 0, 1, five).used)
}

// TestPromise1_NoWindowHoldsMoreThanMaxWithEntriesAheadOfTheClock mixes calls of every kind, with two
// limits and a cost for each, and uses what leads the clock at any time until then.
func TestPromise1_NoWindowHoldsMoreThanMaxWithEntriesAheadOfTheClock(t *testing.T) {
	t.Parallel()
	s := newScripts(t)
	random := rand.New(rand.NewPCG(7, 8)) //nolint:gosec // the same each time
	for schedule := range 100 {
		limits := []asked{
			{name: fmt.Sprint(schedule, "a"), max: 1 + random.Int64N(6), window: 10 * time.Second},
			{name: fmt.Sprint(schedule, "b"), max: 1 + random.Int64N(12), window: 25 * time.Second},
		}
		uses := make([][]naive.Hit, len(limits))
		for range 40 {
			s.now = s.now.Add(time.Duration(random.Int64N(int64(4 * time.Second)))).Truncate(time.Microsecond)
			kind, ahead, times := "tlwm"[random.IntN(4)], time.Duration(random.Int64N(int64(20*time.Second))).Truncate(time.Microsecond), int64(1)
			for i := range limits {
				limits[i].cost = random.Int64N(min(4, limits[i].max+1))
			}
			if kind == 'm' {
				times = 1 + random.Int64N(4)
			}
			r := s.decide(kind, ahead, times, limits...)
			for i := range limits {
				if units := limits[i].cost * r.granted; units > 0 {
					at := r.at[i]
					if kind == 'l' {
						at = s.now.Add(time.Duration(random.Int64N(int64(at.Sub(s.now)) + 1)))
					}
					uses[i] = append(uses[i], naive.Hit{At: at.Sub(storetest.Epoch), Units: units})
				}
			}
		}
		for i, limit := range limits {
			slices.SortFunc(uses[i], func(a, b naive.Hit) int { return int(a.At - b.At) })
			naive.CheckWindows(t, uses[i], slidingwindow.Limit{Max: limit.max, Window: limit.window})
		}
	}
}

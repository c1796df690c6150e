package slidingwindow_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

// TestBatchDecidesAsItsCallsOneByOneWould compares batches with the model, which takes the
// calls in the order of their arrival.
func TestBatchDecidesAsItsCallsOneByOneWould(t *testing.T) {
	h, _ := redisHarness(t, redistest.Client(t))
	store := h.Store.(*slidingwindow.RedisStore)
	model := &naive.Model{Now: storetest.Epoch, Tick: time.Microsecond}
	run := 0
	type taken struct {
		key       string
		want, got slidingwindow.Decision
	}
	rapid.Check(t, func(rt *rapid.T) {
		run++
		sets := [][]slidingwindow.Limit{
			{{Name: "a", Max: rapid.Int64Range(0, 6).Draw(rt, "max"), Window: time.Minute}},
			{{Name: "a", Max: 4, Window: 10 * time.Second}, {Name: "b", Max: 5, Window: time.Minute}},
			{{Name: "c", Max: 9, Window: time.Minute}},
		}
		var all []taken
		for range rapid.IntRange(1, 5).Draw(rt, "batches") {
			requests := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) slidingwindow.Request {
				req := slidingwindow.Request{
					Key:    fmt.Sprintf("run %d key %d", run, rapid.IntRange(0, 2).Draw(rt, "key")),
					Limits: rapid.SampledFrom(sets).Draw(rt, "limits"),
					Cost:   rapid.SampledFrom([]int64{1, 1, 1, 2, 3}).Draw(rt, "cost"),
				}
				switch rapid.SampledFrom([]string{"take", "take", "take", "most", "wait", "costs"}).Draw(rt, "kind") {
				case "most":
					req.AtMost = true
				case "wait":
					req.Wait, req.MaxWait = true, rapid.SampledFrom([]time.Duration{0, 20 * time.Second, time.Hour}).Draw(rt, "max wait")
				case "costs":
					req.Costs = make([]int64, len(req.Limits))
					for i := range req.Costs {
						req.Costs[i] = rapid.Int64Range(0, 2).Draw(rt, "cost of one")
					}
				}
				return req
			}), 1, 12).Draw(rt, "requests")
			got, errs := store.DecideTogether(rt.Context(), requests...)
			for i, req := range requests {
				require.NoError(rt, errs[i])
				want := model.Take(req)
				require.Equal(rt, naive.WithoutReceipts(want), naive.WithoutReceipts(got[i]), "call %d", i)
				all = append(all, taken{req.Key, want, got[i]})
			}
			if len(all) > 0 && rapid.Bool().Draw(rt, "refund") {
				// Once: the clock is set back here, after which see Limiter.Refund.
				i := rapid.IntRange(0, len(all)-1).Draw(rt, "refunded")
				require.NoError(rt, store.Settle(rt.Context(), all[i].key, all[i].got, nil))
				model.Settle(all[i].key, all[i].want, nil)
				all = slices.Delete(all, i, i+1)
			}
			d := rapid.SampledFrom([]time.Duration{0, time.Microsecond, time.Second, 10 * time.Second, time.Minute, -time.Second}).Draw(rt, "step")
			h.Advance(d)
			model.Advance(d)
		}
	})
}

// More calls of one key than decide.lua takes as one.
func TestLargeBatchOfOneKey(t *testing.T) {
	t.Parallel()
	h, _ := redisHarness(t, redistest.Client(t))
	store := h.Store.(*slidingwindow.RedisStore)
	limit := slidingwindow.Limit{Name: "x", Max: 5000, Window: time.Minute}
	requests := slices.Repeat([]slidingwindow.Request{{Key: "k", Limits: []slidingwindow.Limit{limit}, Cost: 1}}, 5010)
	got, errs := store.DecideTogether(t.Context(), requests...)
	for i := range requests {
		require.NoError(t, errs[i])
		require.Equal(t, i < 5000, got[i].Allowed)
		require.Equal(t, max(0, 4999-int64(i)), got[i].Remaining)
	}
	for i, d := range got {
		require.NoError(t, store.Settle(t.Context(), "k", d, nil))
		if i%1000 == 999 {
			l := newLimiter(t, store, limit)
			peeked, err := l.Peek(t.Context(), "k")
			require.NoError(t, err)
			require.EqualValues(t, min(5000, i+1), peeked.Remaining, "each was given back once")
		}
	}
}

func TestPromise8_OneBadCallOfABatchFailsAlone(t *testing.T) {
	t.Parallel()
	client := redistest.Client(t)
	h, prefix := redisHarness(t, client)
	store := h.Store.(*slidingwindow.RedisStore)
	limits := []slidingwindow.Limit{{Name: "a", Max: 5, Window: time.Minute}, {Name: "b", Max: 5, Window: time.Hour}}
	request := func(key string, cost int64) slidingwindow.Request {
		return slidingwindow.Request{Key: key, Limits: limits, Cost: cost}
	}
	require.NoError(t, do(t, client, "SET", slidingwindow.RedisKey(prefix, "string", "b"), "x").Error())
	require.NoError(t, do(t, client, "ZADD", slidingwindow.RedisKey(prefix, "board", "a"), "100", "ada").Error())
	got, errs := store.DecideTogether(t.Context(),
		request("good", 1), request("string", 1), request("good", 2), request("board", 1), request("string", 1), request("other", 5), request("good", 3))
	for i, bad := range []bool{false, true, false, true, true, false, false} {
		if bad {
			assert.ErrorIs(t, errs[i], slidingwindow.ErrForeignData, "call %d", i)
			assert.Equal(t, slidingwindow.Decision{}, got[i])
			continue
		}
		assert.NoError(t, errs[i], "call %d", i)
	}
	assert.Equal(t, []bool{true, true, true, false}, []bool{got[0].Allowed, got[2].Allowed, got[5].Allowed, got[6].Allowed})
	assert.EqualValues(t, 2, got[2].Remaining)
	exists, err := do(t, client, "EXISTS", slidingwindow.RedisKey(prefix, "string", "a")).AsInt64()
	require.NoError(t, err)
	assert.Zero(t, exists, "nothing was taken from the limit that could be read")
}

// A Redis without memory refuses the writes of a batch, but what only reads is answered.
func TestPromise8_OutOfMemoryFailsNoRefusalOfTheBatch(t *testing.T) {
	t.Parallel()
	client := privateServer(t)
	h, _ := redisHarness(t, client)
	store := h.Store.(*slidingwindow.RedisStore)
	limits := []slidingwindow.Limit{slidingwindow.PerMinute(5)}
	request := func(key string, cost int64) slidingwindow.Request {
		return slidingwindow.Request{Key: key, Limits: limits, Cost: cost}
	}
	_, errs := store.DecideTogether(t.Context(), request("full", 5), request("ones", 1), request("dear", 3))
	require.Equal(t, make([]error, 3), errs)
	require.NoError(t, do(t, client, "CONFIG", "SET", "maxmemory", "1").Error())
	for name, write := range map[string]slidingwindow.Request{
		"a new log": request("new", 1), "a log of ones": request("ones", 1), "a log of dearer calls": request("dear", 1),
		"a first dearer call": request("ones", 2),
	} {
		got, errs := store.DecideTogether(t.Context(), write, request("full", 1))
		require.ErrorIs(t, errs[0], slidingwindow.ErrStoreUnavailable, name)
		require.ErrorContains(t, errs[0], "OOM", name)
		require.NoError(t, errs[1], name)
		assert.Equal(t, slidingwindow.ReasonRefused, got[1].Reason, name)
	}
}

// What is no log is neither written to nor trimmed, and what a call would take from its
// other limits stays.
func TestPromise8_ForeignSetsAreLeftAlone(t *testing.T) {
	t.Parallel()
	both := []slidingwindow.Limit{{Name: "a", Max: 5, Window: time.Minute}, {Name: "b", Max: 5, Window: time.Minute}}
	year := []slidingwindow.Limit{{Name: "b", Max: 5, Window: 365 * 24 * time.Hour}}
	for kind, limits := range map[string][]slidingwindow.Limit{"two limits": both, "one limit": both[1:], "a year": year} {
		t.Run(kind, func(t *testing.T) { leavesForeignSetsAlone(t, limits) })
	}
}

func leavesForeignSetsAlone(t *testing.T, limits []slidingwindow.Limit) {
	client := redistest.Client(t)
	h, prefix := redisHarness(t, client)
	l := newLimiter(t, h.Store, limits...)
	window := limits[0].Window + time.Second
	later := storetest.Epoch.Add(window)
	now := strconv.FormatInt(later.UnixMicro(), 10)
	looksLikeOurs := string(binary.BigEndian.AppendUint64(nil, uint64(later.UnixMicro()-1000))[1:])
	olderOurs := looksLikeOurs[1:] // 6 bytes, as before the log had a header
	for name, members := range map[string][]string{
		"zeros":             {"0", "ada", "0", "bob"},
		"fractions":         {"0.25", "ada", "0.5", "bobby"},
		"negative":          {"-5", "ada", "-3", "bob"},
		"old":               {"100", "adas"},
		"old and long":      {"100", "USER:1"},
		"recent":            {now, "bobs"},
		"alike":             {"100", looksLikeOurs},
		"a header's length": {"-1", strings.Repeat("h", 25), now, "bobs"},
		"nearly a header":   {"-1", "log1" + strings.Repeat("h", 30), now, "bobs board"},
		"a log of old":      {now, olderOurs},
		"a dear log of old": {"-1.5", "extra", now, olderOurs + "x2"},
	} {
		key := slidingwindow.RedisKey(prefix, name, "b")
		require.NoError(t, do(t, client, append([]string{"ZADD", key}, members...)...).Error())
		dump := func() (dumps []string) {
			for _, limit := range limits {
				value, _ := do(t, client, "DUMP", slidingwindow.RedisKey(prefix, name, limit.Name)).ToString()
				dumps = append(dumps, value)
			}
			return dumps
		}
		before := dump()
		for _, cost := range []int64{1, 2} {
			_, err := l.AllowN(t.Context(), name, cost)
			assert.ErrorIs(t, err, slidingwindow.ErrForeignData, "%s, cost %d", name, cost)
		}
		assert.Equal(t, before, dump(), name)
	}
}

func TestUnitsTakenAheadShareACommand(t *testing.T) {
	t.Parallel()
	h, _ := redisHarness(t, redistest.Client(t))
	l := newLimiter(t, h.Store, slidingwindow.PerMinute(10))
	req := slidingwindow.Request{Key: "k", Limits: l.Limits(), Cost: 2, Ahead: 5 * time.Second}
	forNow := req
	forNow.Ahead = 0
	decisions, errs := h.Store.(*slidingwindow.RedisStore).DecideTogether(t.Context(), req, req, forNow, req, req)
	require.Equal(t, make([]error, 5), errs)
	for i, want := range []int64{8, 6, 4, 2, 0} {
		assert.EqualValues(t, want, decisions[i].Remaining)
	}
	require.NoError(t, h.Store.Settle(t.Context(), "k", decisions[1], nil))
	d, err := l.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 2, d.Remaining, "each is settled by itself")
	h.Advance(time.Minute)
	d, err = l.Peek(t.Context(), "k")
	require.NoError(t, err)
	assert.EqualValues(t, 4, d.Remaining, "what was for now has left")
}

package main

import (
	"bufio"
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestHistogramIsExactToThreePercent(t *testing.T) {
	t.Parallel()
	for d := time.Duration(1); d < time.Hour; d = d*5/4 + 1 {
		end := upperEnd(bucketOf(d))
		assert.GreaterOrEqual(t, end, d)
		assert.LessOrEqual(t, float64(end), 1.04*float64(d), d)
		assert.Equal(t, bucketOf(d)+1, bucketOf(end+1), "no gap after %v", d)
	}
	assert.Less(t, bucketOf(1<<63-1), buckets)
	assert.Zero(t, bucketOf(-1), "a clock set back")
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var h, other histogram
	assert.Zero(t, h.quantile(0.5))
	for d := range 100 {
		h.add(time.Duration(d+1) * time.Millisecond)
	}
	assert.InDelta(t, 51e6, h.quantile(0.5), 2e6)
	assert.InDelta(t, 100e6, h.quantile(0.99), 4e6)
	assert.InDelta(t, 100e6, h.quantile(1), 4e6)
	for range 300 {
		other.add(time.Second)
	}
	h.merge(&other)
	assert.InDelta(t, 1e9, h.quantile(0.5), 3e7)
}

func TestMedian(t *testing.T) {
	t.Parallel()
	assert.EqualValues(t, 2, median([]float64{9, 1, 2}))
	assert.EqualValues(t, 3, median([]float64{9, 1, 2, 4}))
}

// A machine that was slow in one round was so for both.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	t.Parallel()
	rates := func(all ...float64) (r result) {
		for _, rate := range all {
			r.rounds = append(r.rounds, figures{perSecond: rate})
		}
		return r
	}
	r := rates(100, 10, 300) // 2, 5 and 3 times as many
	assert.InDelta(t, 3, r.over(rates(50, 2, 100), perSecond), 1e-9)
	assert.True(t, math.IsNaN(r.over(result{}, perSecond)), "of one that was not measured")
	assert.Equal(t, "-", ratio(r.over(result{}, perSecond), 1))
}

func TestUseOfTheServer(t *testing.T) {
	t.Parallel()
	use, err := parseUse("# CPU\r\nused_cpu_sys:1.500000\r\nused_cpu_user:2.250000\r\nused_cpu_sys_children:9\r\nused_cpu_user_main_thread:9\r\n" +
		"# Commandstats\r\ncmdstat_evalsha:calls=7,usec=1,usec_per_call=0.1\r\ncmdstat_info:calls=3,usec=1\r\ncmdstat_client|caching:calls=2,usec=1\r\n")
	require.NoError(t, err)
	assert.Equal(t, serverUse{cpu: 3750 * time.Millisecond, commands: map[string]float64{"evalsha": 7, "client|caching": 2}}, use)
	_, err = parseUse("used_cpu_sys:much\r\n")
	assert.ErrorContains(t, err, "used_cpu_sys")
}

func TestShareThatClientsSent(t *testing.T) {
	t.Parallel()
	lines := bufio.NewScanner(strings.NewReader(`+1.0 [0 127.0.0.1:5000] "EVALSHA" "x" "1" "k"
+1.1 [0 lua] "GET" "] \"lua"
+1.2 [0 127.0.0.1:5000] "get" "k"
+1.3 [0 lua] "PEXPIRE" "k" "1"
+1.4 [0 127.0.0.1:5000] "ECHO" "other"
+1.5 [0 127.0.0.1:5001] "ECHO" "end"
`))
	share, err := shareOf(lines, "end")
	require.NoError(t, err)
	assert.Equal(t, sentShare{"evalsha": 1, "get": 0.5, "pexpire": 0, "echo": 1}, share)
	sent, ran := share.of(map[string]float64{"evalsha": 10, "get": 20, "pexpire": 10, "zcard": 3})
	assert.EqualValues(t, 20, sent)
	assert.EqualValues(t, 43, ran)
	sent, _ = sentShare{"get": 1}.of(map[string]float64{"get": 20, "zcard": 3})
	assert.EqualValues(t, 23, sent)
	_, err = shareOf(lines, "end")
	assert.ErrorContains(t, err, "ended early")
}

// What a row says of ours is what is known of it.
func TestARound(t *testing.T) {
	s := newServer(t)
	w := work{Demand: one(quota{Max: 10, Window: time.Hour}), Keys: 3, Callers: 4, Fill: 11}
	b := &bench{server: s}
	results, err := compare(t.Context(), contestantsNamed(fixedWindowOnRueidis().name, incrName), w.Demand, w.Keys, 2, b.measuring(s, w, 20*time.Millisecond))
	require.NoError(t, err)
	require.Len(t, results, 2)

	counter := results[0]
	assert.EqualValues(t, 30, counter.admitted)
	assert.EqualValues(t, 30, counter.exact)
	assert.EqualValues(t, 30, counter.may)
	assert.Greater(t, counter.asked, int64(33))
	assert.False(t, counter.overran())
	assert.InDelta(t, 1, counter.sent, 0.01, "EVALSHA")
	assert.InDelta(t, 4, counter.ran, 0.01, "EVALSHA, INCRBY, PTTL, DECRBY")
	assert.Positive(t, counter.perSecond)
	assert.Positive(t, counter.clientCPU)
	assert.LessOrEqual(t, counter.p50, counter.p99)

	floor := results[1]
	assert.Equal(t, floor.asked, floor.admitted)
	assert.InDelta(t, 1, floor.ran, 0.01)
	counter.admitted++
	assert.True(t, counter.overran())
}

func TestMemoryOfALog(t *testing.T) {
	s := newServer(t)
	one, err := s.memoryOf(t.Context(), ours(), 1)
	require.NoError(t, err)
	hundred, err := s.memoryOf(t.Context(), ours(), 100)
	require.NoError(t, err)
	assert.Greater(t, hundred, one+99*8, "an entry a hit")
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-only calls,nothing":                 "nothing",
		"-row steady-c64,steady-c7":           "steady-c7",
		"-only calls -row steady-c64":         "steady-c64",
		"-short -row allowed-c8":              "allowed-c64",
		"-cpuprofile f":                       "-row",
		"-cpuprofile f -row echo-c4,x":        "\"x\"",
		"-cpuprofile f -row echo-c4,echo-c64": "one row",
		"-short -long":                        "-short or -long",
		"-rounds -1":                          "0 or more",
		"everything":                          "no arguments",
	} {
		assert.ErrorContains(t, run(t.Context(), strings.Fields(args), nil, &bytes.Buffer{}), want, args)
	}
}

package slidingwindow_test

import (
	"bufio"
	"encoding/binary"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

// monitored runs calls on a private server and returns the commands that clients sent
// to it and those that scripts ran in it, as MONITOR shows them.
func monitored(t *testing.T, url, addr string, calls func()) (sent, ran [][]string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	lines := bufio.NewScanner(conn)
	_, err = conn.Write([]byte("MONITOR\r\n"))
	require.NoError(t, err)
	require.True(t, lines.Scan())
	require.Equal(t, "+OK", lines.Text())

	calls()
	marker := redistest.Connect(t, url)
	require.NoError(t, do(t, marker, "ECHO", "the end").Error())

	quoted := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	for lines.Scan() {
		source, _, _ := strings.Cut(lines.Text(), "]")
		var command []string
		for _, word := range quoted.FindAllString(lines.Text(), -1) {
			word, err := strconv.Unquote(word)
			require.NoError(t, err)
			command = append(command, word)
		}
		switch {
		case strings.HasSuffix(source, " lua"):
			ran = append(ran, command)
		case command[0] == "ECHO":
			return sent, ran
		case strings.HasPrefix(strings.ToUpper(command[0]), "EVAL"), command[0] == "UNLINK":
			sent = append(sent, command)
		}
	}
	require.NoError(t, lines.Err())
	return nil, nil
}

func names(commands [][]string) []string {
	names := make([]string, len(commands))
	for i, command := range commands {
		names[i] = command[0]
	}
	return names
}

func TestEachCallIsOneCommand(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL())
	l, _ := newRedisLimiter(t, client, slidingwindow.PerMinute(2))
	call := func(want bool) func() {
		return func() {
			d, err := l.Allow(t.Context(), "k")
			require.NoError(t, err)
			require.Equal(t, want, d.Allowed)
		}
	}
	call(true)() // the script is loaded

	sent, ran := monitored(t, server.URL(), server.Addr(), call(true))
	assert.Equal(t, []string{"EVALSHA"}, names(sent))
	assert.Equal(t, []string{"TIME", "ZRANGE", "ZCARD", "ZADD"}, names(ran), "what an allowed call costs in Redis")

	sent, ran = monitored(t, server.URL(), server.Addr(), call(false))
	assert.Equal(t, []string{"EVALSHA"}, names(sent))
	assert.Equal(t, []string{"TIME", "ZRANGE", "ZCARD"}, names(ran), "a refused call reads only, and no more")

	sent, _ = monitored(t, server.URL(), server.Addr(), func() {
		_, err := l.Peek(t.Context(), "k")
		require.NoError(t, err)
	})
	assert.Equal(t, []string{"EVALSHA_RO"}, names(sent))

	sent, _ = monitored(t, server.URL(), server.Addr(), func() { require.NoError(t, l.Reset(t.Context(), "k")) })
	assert.Equal(t, []string{"UNLINK"}, names(sent))

	h, _ := redisHarness(t, client)
	l, err = slidingwindow.New(h.Store, slidingwindow.PerMinute(2))
	require.NoError(t, err)
	call(true)()
	h.Advance(time.Minute - time.Microsecond)
	call(true)()
	h.Advance(2 * time.Microsecond)
	call(true)() // sets the time to live anew
	h.Advance(time.Minute - 2*time.Microsecond)
	_, ran = monitored(t, server.URL(), server.Addr(), call(true))
	const clock = "HMGET" // in place of TIME
	assert.Equal(t, []string{clock, "ZRANGE", "ZCARD", "ZADD", "ZREMRANGEBYRANK"},
		names(ran), "what an allowed call costs once hits leave the window")

	store := h.Store.(*slidingwindow.RedisStore)
	batch := func(keys ...string) func() {
		return func() {
			requests := make([]slidingwindow.Request, len(keys))
			for i, key := range keys {
				requests[i] = slidingwindow.Request{Key: key, Limits: l.Limits(), Cost: 1}
			}
			_, errs := store.DecideTogether(t.Context(), requests...)
			require.Equal(t, make([]error, len(keys)), errs)
		}
	}
	batch("steady", "steady too")()
	h.Advance(time.Minute - time.Microsecond)
	batch("steady", "steady too")()
	h.Advance(2 * time.Microsecond)
	batch("filling", "steady", "steady too")()
	h.Advance(time.Minute - 2*time.Microsecond)
	_, ran = monitored(t, server.URL(), server.Addr(), batch("filling", "steady", "steady too"))
	assert.Equal(t, []string{
		clock, "ZRANGE", "ZCARD", "ZADD",
		"ZRANGE", "ZRANGE", "ZCARD", "ZADD", "ZREMRANGEBYRANK", // after a log that only fills, a second hit is not expected
		"ZRANGE", "ZCARD", "ZADD", "ZREMRANGEBYRANK", // now it is
	}, names(ran), "what a batch costs")

	batch("seldom")()
	h.Advance(time.Minute)
	_, ran = monitored(t, server.URL(), server.Addr(), batch("seldom"))
	assert.Equal(t, []string{clock, "ZRANGE", "ZCARD", "ZADD", "ZREMRANGEBYRANK"}, names(ran), "a log whose only hit has left")
}

// TestScriptHeaderMatchesItsCaller compares the KEYS, ARGV and RETURNS that decide.lua
// documents with what the Go side sends and what Redis answers.
func TestScriptHeaderMatchesItsCaller(t *testing.T) {
	t.Parallel()
	header, _, ok := strings.Cut(slidingwindow.DecideScript, "\n\n")
	require.True(t, ok, "a header, then an empty line")
	for _, part := range []string{
		`KEYS +the log of each limit of each call`, `ARGV +runs of calls`,
		` +kind +1 byte`, ` +ahead +7 bytes`, ` +calls +4 bytes`, ` +times +4 bytes`, ` +n +1 byte`,
		` +max +7 bytes`, ` +window +7 bytes`, ` +cost +7 bytes`, ` +share +7 bytes`,
		`RETURNS +the time \(us\)`, ` +granted `, ` +n times +used .* reset `, ` +n times, .* retry `, ` +call, limit, hit`,
	} {
		assert.Regexp(t, `(?m)^-- `+part, header)
	}

	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL())
	h, prefix := redisHarness(t, client)
	store := h.Store.(*slidingwindow.RedisStore)
	minute, hour := slidingwindow.PerMinute(10), slidingwindow.PerHour(20)
	l := newLimiter(t, store, minute, hour)
	_, err = l.Allow(t.Context(), "loads the script")
	require.NoError(t, err)
	both, one := l.Limits(), []slidingwindow.Limit{hour}
	sent, _ := monitored(t, server.URL(), server.Addr(), func() {
		_, errs := store.DecideTogether(t.Context(),
			slidingwindow.Request{Key: "a", Limits: both, Cost: 4}, slidingwindow.Request{Key: "b", Limits: one, Cost: 1},
			slidingwindow.Request{Key: "c", Limits: both, Cost: 4})
		require.Equal(t, make([]error, 3), errs)
	})
	require.Len(t, sent, 1)
	command := sent[0]
	name := func(key string, limit slidingwindow.Limit) string {
		return slidingwindow.RedisKey(prefix, key, limit.Name)
	}
	bigEndian := func(n int64, bytes int) string {
		return string(binary.BigEndian.AppendUint64(nil, uint64(n))[8-bytes:]) //nolint:gosec // it is not negative
	}
	run := func(cost int64, limits ...slidingwindow.Limit) string {
		text := "t" + bigEndian(0, 7) + bigEndian(1, 4) + bigEndian(1, 4) + bigEndian(int64(len(limits)), 1)
		for _, limit := range limits {
			text += bigEndian(limit.Max, 7) + bigEndian(limit.Window.Microseconds(), 7) + bigEndian(cost, 7) + bigEndian(1, 7)
		}
		return text
	}
	assert.Equal(t, []string{
		"5", name("a", minute), name("a", hour), name("b", hour), name("c", minute), name("c", hour),
		run(4, minute, hour), run(1, hour), run(4, minute, hour),
	}, command[2:])

	// The same once more: the calls of 4 are refused by the minute at the third time.
	reply := func() []int64 {
		values, err := do(t, client, command...).AsIntSlice()
		require.NoError(t, err)
		return values
	}
	now := storetest.Epoch.UnixMicro()
	assert.Equal(t, []int64{now,
		1, 8, 60_000_000, 8, 3_600_000_000,
		1, 2, 3_600_000_000,
		1, 8, 60_000_000, 8, 3_600_000_000,
		0, 1, 0, now + 1, 0, 0, 0, now + 1, // the second hits of this microsecond
		1, 0, 0, now + 1,
		2, 1, 0, now + 1, 2, 0, 0, now + 1,
	}, reply())
	h.Advance(time.Second)
	assert.Equal(t, []int64{now + 1_000_000,
		0, 8, 59_000_000, 8, 3_599_000_000, 59_000_000, 0,
		1, 3, 3_599_000_000,
		0, 8, 59_000_000, 8, 3_599_000_000, 59_000_000, 0,
	}, reply())
}

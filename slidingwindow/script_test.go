package slidingwindow_test

import (
	"bufio"
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
	assert.Equal(t, []string{"TIME", "ZCARD", "ZCOUNT", "ZRANGE", "ZADD", "PEXPIRE"}, names(ran), "what an allowed call costs in Redis")

	sent, ran = monitored(t, server.URL(), server.Addr(), call(false))
	assert.Equal(t, []string{"EVALSHA"}, names(sent))
	assert.Equal(t, []string{"TIME", "ZCARD", "ZCOUNT", "ZRANGE"}, names(ran), "a refused call reads only, and no more")

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
	h.Advance(30 * time.Second)
	call(true)()
	h.Advance(30 * time.Second)
	_, ran = monitored(t, server.URL(), server.Addr(), call(true))
	const clock = "HMGET" // in place of TIME
	assert.Equal(t, []string{clock, "ZCARD", "ZCOUNT", "ZRANGE", "ZCOUNT", "ZRANGE", "ZRANGE", "ZADD", "ZREMRANGEBYRANK", "PEXPIRE"},
		names(ran), "what an allowed call costs once hits leave the window")
}

// TestScriptHeaderMatchesItsCaller compares the KEYS, ARGV and RETURNS that decide.lua
// documents with what the Go side sends and what Redis answers.
func TestScriptHeaderMatchesItsCaller(t *testing.T) {
	t.Parallel()
	header, _, ok := strings.Cut(slidingwindow.DecideScript, "\n\n")
	require.True(t, ok, "a header, then an empty line")
	require.Contains(t, header, "-- KEYS[1..n] ")
	require.Regexp(t, `(?m)^-- RETURNS +4n integers`, header)
	arg := regexp.MustCompile(`(?m)^-- ARGV\[([0-9]*)(i?)(?:\+([0-9]+))?\]`).FindAllStringSubmatch(header, -1)

	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	client := redistest.Connect(t, server.URL())
	limits := []slidingwindow.Limit{slidingwindow.PerMinute(10), slidingwindow.PerHour(20), slidingwindow.PerDay(30)}
	for n := 1; n <= len(limits); n++ {
		documented := map[int]bool{}
		for _, a := range arg {
			factor, err := strconv.Atoi(a[1])
			require.NoError(t, err)
			plus, _ := strconv.Atoi(a[3]) // "" is 0
			if a[2] == "" {
				documented[factor] = true
				continue
			}
			for i := 1; i <= n; i++ {
				documented[factor*i+plus] = true
			}
		}
		l, prefix := newRedisLimiter(t, client, limits[:n]...)
		sent, _ := monitored(t, server.URL(), server.Addr(), func() {
			_, err := l.AllowN(t.Context(), "k", 4)
			require.NoError(t, err)
		})
		command := sent[len(sent)-1] // the first call of all is sent twice, to load the script
		require.Equal(t, strconv.Itoa(n), command[2])
		keys, argv := command[3:3+n], command[3+n:]
		require.Len(t, documented, len(argv), "as many ARGV as documented for %d limits", n)
		require.Equal(t, []string{"take", "4"}, argv[:2], "ARGV[1] and ARGV[2]")
		for i, limit := range limits[:n] {
			assert.Equal(t, slidingwindow.RedisKey(prefix, "k", limit.Name), keys[i])
			assert.Equal(t, []string{
				strconv.FormatInt(limit.Max, 10),
				strconv.FormatInt(limit.Window.Microseconds(), 10),
				strconv.FormatInt(2*limit.Window.Milliseconds(), 10),
			}, argv[3*i+2:3*i+5], "max, window (us) and time to live (ms) of limit %d", i+1)
		}
		reply, err := do(t, client, command...).AsIntSlice()
		require.NoError(t, err)
		assert.Len(t, reply, 4*n)
	}
}

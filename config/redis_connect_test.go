package config_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	patience = time.Minute // a bound on waits that end by themselves
	poll     = 5 * time.Millisecond
)

// logs gathers what is logged, as "level: message addr error".
type logs struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}

func (l *logs) lines(t *testing.T) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := []string{}
	for line := range bytes.Lines(l.out.Bytes()) {
		var record struct{ Level, Msg, Addr, Error string }
		require.NoError(t, json.Unmarshal(line, &record))
		lines = append(lines, strings.TrimSpace(record.Level+": "+record.Msg+" "+record.Addr+" "+record.Error))
	}
	return lines
}

func redisAt(t *testing.T, url string) (config.Redis, *logs) {
	t.Helper()
	c, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=" + url}})
	require.NoError(t, err)
	l := &logs{}
	c.Redis.Logger = slog.New(slog.NewJSONHandler(l, nil))
	return c.Redis, l
}

func startRedis(t *testing.T, args ...string) *redisserver.Server {
	t.Helper()
	server, err := redisserver.Start(t.Context(), args...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	return server
}

// closedAddr is an address where nobody listens.
func closedAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

func decides(t *testing.T, r config.Redis, client rueidis.Client) {
	t.Helper()
	store, err := slidingwindow.NewRedisStore(client, slidingwindow.RedisConfig{Prefix: r.Prefix, Timeout: patience})
	require.NoError(t, err)
	limiter, err := slidingwindow.New(store, slidingwindow.PerHour(1))
	require.NoError(t, err)
	first, err := limiter.Allow(t.Context(), t.Name())
	require.NoError(t, err)
	assert.True(t, first.Allowed)
	second, err := limiter.Allow(t.Context(), t.Name())
	require.NoError(t, err)
	assert.False(t, second.Allowed)
}

// requireConnects connects and decides, or requires the error want if there is one.
func requireConnects(t *testing.T, r config.Redis, want string) {
	t.Helper()
	client, err := r.Connect(t.Context())
	if want != "" {
		require.EqualError(t, err, want)
		return
	}
	require.NoError(t, err)
	defer client.Close()
	decides(t, r, client)
}

func TestConnect(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "r.sock")
	server := startRedis(t, "--requirepass", "s3cret", "--unixsocket", socket)
	for name, test := range map[string]struct{ url, addr string }{
		"tcp":      {"redis://:s3cret@" + server.Addr() + "/1", server.Addr()},
		"valkey":   {"valkey://default:s3cret@" + server.Addr() + "/2?client_name=me", server.Addr()},
		"RESP2":    {"redis://:s3cret@" + server.Addr() + "/3?protocol=2", server.Addr()},
		"no cache": {"redis://:s3cret@" + server.Addr() + "/4?client_cache=0&max_retries=0", server.Addr()},
		"unix":     {"unix://:s3cret@" + socket + "?db=5", socket},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, l := redisAt(t, test.url)
			client, err := r.Connect(t.Context())
			require.NoError(t, err)
			decides(t, r, client)
			client.Close()
			assert.Equal(t, []string{"INFO: redis connected " + test.addr}, l.lines(t), "once, and closing is no failure")
		})
	}
}

func TestConnectToCluster(t *testing.T) {
	t.Parallel()
	cluster, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Stop()) })
	addrs := cluster.Addrs()

	// One of the addresses is gone, which must not keep us from the others.
	r, _ := redisAt(t, "redis://"+closedAddr(t)+"?addr="+addrs[0]+"&addr="+addrs[1])
	client, err := r.Connect(t.Context())
	require.NoError(t, err)
	defer client.Close()
	assert.Equal(t, rueidis.ClientModeCluster, client.Mode())
	decides(t, r, client)

	r, _ = redisAt(t, "redis://"+addrs[0]+"/1")
	_, err = r.Connect(t.Context())
	require.EqualError(t, err, "redis at "+addrs[0]+" refused the connection: SELECT is not allowed in cluster mode")
}

func TestConnectRefused(t *testing.T) {
	t.Parallel()
	a, b := closedAddr(t), closedAddr(t)
	r, l := redisAt(t, "redis://user:s3cret@"+a)
	client, err := r.Connect(t.Context())
	require.EqualError(t, err, "cannot reach redis at "+a+": connection refused")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.Nil(t, client)
	assert.Equal(t, []string{"WARN: redis connection failed " + a + " connection refused"}, l.lines(t))

	r, _ = redisAt(t, "redis://"+a+"?addr="+b)
	_, err = r.Connect(t.Context())
	assert.ElementsMatch(t, []string{
		"cannot reach redis at " + a + ": connection refused",
		"cannot reach redis at " + b + ": connection refused",
	}, strings.Split(err.Error(), "\n"))

	missing := filepath.Join(t.TempDir(), "r.sock")
	r, _ = redisAt(t, "unix://"+missing)
	_, err = r.Connect(t.Context())
	require.EqualError(t, err, "cannot reach redis at "+missing+": no such file or directory")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestConnectLoginRefused(t *testing.T) {
	t.Parallel()
	server := startRedis(t, "--requirepass", "right")
	const wrong = "WRONGPASS: the user or the password of REDIS_URL is wrong, or the user is disabled"
	for url, want := range map[string]string{
		"redis://:s3cret@" + server.Addr():                    wrong,
		"redis://someone:s3cret@" + server.Addr():             wrong,
		"redis://:s3cret@" + server.Addr() + "?protocol=2":    wrong,
		"redis://" + server.Addr() + "?protocol=2":            "NOAUTH: it asks for a login; give one in REDIS_URL",
		"redis://" + server.Addr() + "/?write_timeout=1500ms": "NOAUTH: it asks for a login; give one in REDIS_URL",
	} {
		r, l := redisAt(t, url)
		_, err := r.Connect(t.Context())
		require.Error(t, err)
		assert.EqualError(t, err, "redis at "+server.Addr()+" refused the login: "+want)
		lines := l.lines(t)
		require.Len(t, lines, 1)
		assert.Contains(t, lines[0], "WARN: redis connection failed "+server.Addr()+" "+want)
	}
}

func TestConnectRefusedAfterLogin(t *testing.T) {
	t.Parallel()
	a, b := startRedis(t), startRedis(t)
	r, _ := redisAt(t, a.URL()+"/99")
	_, err := r.Connect(t.Context())
	require.EqualError(t, err, "redis at "+a.Addr()+" refused the connection: DB index is out of range")

	r, _ = redisAt(t, a.URL()+"?addr="+b.Addr())
	_, err = r.Connect(t.Context())
	require.EqualError(t, err, "redis at "+a.Addr()+", "+b.Addr()+" is not a cluster: give one address in REDIS_URL, or master_set for sentinels")
}

// The parts of a login may be words of any error.
func TestConnectErrorsAreWholeWhateverTheLogin(t *testing.T) {
	t.Parallel()
	addr := closedAddr(t)
	for _, login := range []string{"dial:x", ":1", "e:e", "connection:refused", ":127.0.0.1"} {
		r, _ := redisAt(t, "redis://"+login+"@"+addr)
		_, err := r.Connect(t.Context())
		require.EqualError(t, err, "cannot reach redis at "+addr+": connection refused", login)
		require.ErrorIs(t, err, syscall.ECONNREFUSED, login)
	}
	server := startRedis(t, "--requirepass", "right")
	r, _ := redisAt(t, "redis://u:p@"+server.Addr())
	_, err := r.Connect(t.Context())
	require.EqualError(t, err, "redis at "+server.Addr()+" refused the login: WRONGPASS: the user or the password of REDIS_URL is wrong, or the user is disabled")
}

// A server that gets no login has none to quote.
func TestConnectShowsTheReplyToNoLogin(t *testing.T) {
	t.Parallel()
	addr := serve(t, answering("-ERR proxy: no backend\r\n"))
	r, _ := redisAt(t, "redis://"+addr)
	_, err := r.Connect(t.Context())
	require.EqualError(t, err, "redis at "+addr+" refused the connection: ERR proxy: no backend")
}

// A server that does not know the login command quotes it.
func TestConnectErrorsHoldNoSecretThatTheServerQuotes(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'someone' 's3cr\r\n",
		"-ERR odd command: HELLO 3 AUTH someone s3cret\r\n",
		"-ERR odd command: 2HELLO 4AUTH SOMEONE S3CRET\r\n",
		"-WRONGPASS for someone: s3cret\r\n",
		"-s3cret\r\n",
	} {
		addr := serve(t, answering(answer))
		r, l := redisAt(t, "redis://someone:s3cret@"+addr)
		_, err := r.Connect(t.Context())
		require.ErrorContains(t, err, "redis at "+addr+" refused")
		for e := err; e != nil; {
			for _, text := range []string{e.Error(), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e)} {
				assert.NotContains(t, strings.ToLower(text), "s3cr")
				assert.NotContains(t, strings.ToLower(text), "someone")
			}
			if joined, ok := e.(interface{ Unwrap() []error }); ok {
				e = joined.Unwrap()[0]
				continue
			}
			single, _ := e.(interface{ Unwrap() error })
			if e = nil; single != nil {
				e = single.Unwrap()
			}
		}
		assert.NotContains(t, strings.ToLower(strings.Join(l.lines(t), "\n")), "s3cr")
	}
}

func TestConnectToWhatIsNotRedis(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
		blackHole(conn)
	})
	r, _ := redisAt(t, "redis://"+addr)
	_, err := r.Connect(t.Context())
	require.EqualError(t, err, "cannot reach redis at "+addr+": it does not speak the protocol of redis")
}

func TestConnectIsBounded(t *testing.T) {
	t.Parallel()
	addr := serve(t, blackHole)
	for scheme, hint := range map[string]string{"redis": "", "rediss": "; does it speak TLS?"} {
		r, l := redisAt(t, scheme+"://"+addr+"?dial_timeout=50ms")
		_, err := r.Connect(t.Context())
		want := "cannot reach redis at " + addr + ": no answer within 50ms" + hint
		// On a slow machine the bound of all addresses may come before the end of the one was noted.
		for began := time.Now(); err.Error() != want && time.Since(began) < patience; {
			r, l = redisAt(t, scheme+"://"+addr+"?dial_timeout=50ms")
			_, err = r.Connect(t.Context())
		}
		require.EqualError(t, err, want)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		assert.True(t, timeout.Timeout())
		assert.Equal(t, []string{"WARN: redis connection failed " + addr + " no answer in time" + hint}, l.lines(t))

		r, l = redisAt(t, scheme+"://"+addr)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = r.Connect(ctx)
		cancel()
		require.EqualError(t, err, "cannot reach redis at "+addr+": the context ended first: context deadline exceeded")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Empty(t, l.lines(t), "it is the caller who gave up")

		_, err = r.Connect(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}

	// The connection is closed when the caller gives up, not when the client would.
	closed := make(chan struct{})
	ctx, cancel := context.WithCancelCause(t.Context())
	addr = serve(t, func(conn net.Conn) {
		cancel(io.ErrClosedPipe)
		blackHole(conn)
		close(closed)
	})
	r, _ := redisAt(t, "redis://"+addr+"?dial_timeout=1h")
	_, err := r.Connect(ctx)
	require.EqualError(t, err, "cannot reach redis at "+addr+": the context ended first: context canceled: io: read/write on closed pipe")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, io.ErrClosedPipe, "the cause")
	<-closed
}

func TestConnectInMemory(t *testing.T) {
	t.Parallel()
	r, _ := redisAt(t, "memory://")
	_, err := r.Connect(t.Context())
	require.EqualError(t, err, "REDIS_URL is memory://, so there is no redis to connect to: use memory.New")
	_, err = config.Redis{}.Connect(t.Context())
	require.EqualError(t, err, required)
}

func TestConnectChecksTheVersion(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ info, tooOld string }{
		"redis 6":       {bulk("# Server\r\nredis_version:6.2.1\r\n"), "6.2.1"},
		"redis 7":       {bulk("# Server\r\nredis_version:7.0.0\r\n"), ""},
		"redis 10":      {bulk("redis_version:10.0.0\r\n"), ""},
		"valkey 7.1":    {bulk("redis_version:7.2.4\r\nvalkey_version:7.1.9\r\n"), "7.1.9"},
		"valkey 7.2":    {bulk("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:7.2.0\r\n"), ""},
		"valkey 8":      {bulk("redis_version:7.2.4\r\nvalkey_version:8.0.1\r\n"), ""},
		"no version":    {bulk("# Server\r\n"), ""},
		"odd version":   {bulk("redis_version:255.255.255\r\n"), ""},
		"not permitted": {"-NOPERM this user has no permissions to run the 'info' command\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, oldServer(test.info))
			r, _ := redisAt(t, "redis://"+addr)
			client, err := r.Connect(t.Context())
			if test.tooOld == "" {
				require.NoError(t, err)
				client.Close()
				return
			}
			require.EqualError(t, err, "redis at "+addr+" is version "+test.tooOld+"; allowed: Redis 7.0 or later, or Valkey 7.2 or later")
		})
	}
}

func ping(t *testing.T, client rueidis.Client) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return client.Do(ctx, client.B().Ping().Build()).Error()
}

func TestConnectLogsOneEpisodeOnce(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	r, l := redisAt(t, server.URL())
	client, err := r.Connect(t.Context())
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, server.Kill())
	for range 5 {
		require.Error(t, ping(t, client))
	}
	require.NoError(t, server.Restart(t.Context()))
	require.Eventually(t, func() bool { return ping(t, client) == nil }, patience, poll)

	lines := l.lines(t)
	require.Len(t, lines, 3, lines)
	assert.Equal(t, "INFO: redis connected "+server.Addr(), lines[0])
	assert.Contains(t, lines[1], "WARN: redis connection failed "+server.Addr()+" ")
	assert.Equal(t, "INFO: redis reconnected "+server.Addr(), lines[2])
}

func TestConnectLogsABrokenConnection(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	r, l := redisAt(t, server.URL())
	client, err := r.Connect(t.Context())
	require.NoError(t, err)
	defer client.Close()
	killer, err := net.Dial("tcp", server.Addr())
	require.NoError(t, err)
	defer func() { _ = killer.Close() }()
	_, err = io.WriteString(killer, "CLIENT KILL TYPE normal\r\n")
	require.NoError(t, err)
	answer, err := bufio.NewReader(killer).ReadString('\n')
	require.NoError(t, err)
	require.NotEqual(t, ":0\r\n", answer)

	require.Eventually(t, func() bool { _ = ping(t, client); return len(l.lines(t)) >= 3 }, patience, poll)
	assert.Equal(t, []string{
		"INFO: redis connected " + server.Addr(),
		"WARN: redis connection failed " + server.Addr() + " the connection was closed",
		"INFO: redis reconnected " + server.Addr(),
	}, l.lines(t))
}

package slidingwindow_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/redisconn"
)

// patient is a timeout that no call reaches on a busy machine, and much is what no test uses up.
const (
	patient = time.Minute
	much    = 1_000_000
)

// wire counts the connections that a client makes, and can hold replies back or lose one.
type wire struct {
	mu      sync.Mutex
	dials   int
	held    chan struct{}     // nil, or open while replies are held
	delay   time.Duration     // of connecting
	detours map[string]string // addresses to use instead

	losing atomic.Bool // the next reply is lost, and its connection ends
}

func (w *wire) dial(ctx context.Context, addr string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
	w.mu.Lock()
	w.dials++
	delay := w.delay
	if detour := w.detours[addr]; detour != "" {
		addr = detour
	}
	w.mu.Unlock()
	time.Sleep(delay)
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return redisconn.Wrap(ctx, wiredConn{conn, w}), nil
}

// dialed is how many connections were made to all servers.
func (w *wire) dialed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials
}

// slow makes connecting slower.
func (w *wire) slow(delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = delay
}

// hold keeps replies from the client until release is called.
func (w *wire) hold() (release func()) {
	held := make(chan struct{})
	w.mu.Lock()
	w.held = held
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		w.held = nil
		w.mu.Unlock()
		close(held)
	}
}

type wiredConn struct {
	net.Conn
	wire *wire
}

func (c wiredConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.wire.mu.Lock()
	held := c.wire.held
	c.wire.mu.Unlock()
	if held != nil {
		<-held
	}
	if err == nil && c.wire.losing.CompareAndSwap(true, false) {
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// SyscallConn implements syscall.Conn, by which redisconn finds out whether a server has hung up.
func (c wiredConn) SyscallConn() (syscall.RawConn, error) { return c.Conn.(syscall.Conn).SyscallConn() }

// wired returns a store whose connections are counted.
func wired(t *testing.T, addr string, config slidingwindow.RedisConfig, customize ...func(*rueidis.ClientOption)) (*slidingwindow.RedisStore, *wire) {
	t.Helper()
	return wiredBy(t, &wire{}, addr, config, customize...)
}

func wiredBy(t *testing.T, w *wire, addr string, config slidingwindow.RedisConfig, customize ...func(*rueidis.ClientOption)) (*slidingwindow.RedisStore, *wire) {
	t.Helper()
	client := redistest.Connect(t, "redis://"+addr, append(customize, func(o *rueidis.ClientOption) { o.DialCtxFn = w.dial })...)
	store, err := slidingwindow.NewRedisStore(client, config)
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return store, w
}

func startCluster(t *testing.T) *redisserver.Cluster {
	t.Helper()
	cluster, err := redisserver.StartCluster(t.Context(), 3)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Stop()) })
	return cluster
}

// awaitParts waits until the store knows the nodes of the Cluster.
func awaitParts(t *testing.T, store *slidingwindow.RedisStore) {
	t.Helper()
	require.Eventually(t, func() bool { return store.Part("k") != "" }, patient, time.Millisecond)
}

// together runs f n times at once and returns the errors.
func together(n int, f func(i int) error) (errs []error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		all.Go(func() {
			if err := f(i); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return errs
}

// used is how many units of a key were taken.
func used(t *testing.T, l *slidingwindow.Limiter, key string) int64 {
	t.Helper()
	d, err := l.Peek(context.Background(), key)
	require.NoError(t, err)
	status := d.Statuses()[0]
	return status.Limit.Max - status.Remaining
}

// ranAt is how often a server ran a command.
func ranAt(t *testing.T, server *redisserver.Server, name string) (n int) {
	t.Helper()
	_, rest, found := strings.Cut(command(t, server, "info", "commandstats"), "cmdstat_"+name+":calls=")
	if found {
		_, err := fmt.Sscan(rest[:strings.IndexByte(rest, ',')], &n)
		require.NoError(t, err)
	}
	return n
}

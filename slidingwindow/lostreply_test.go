package slidingwindow_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// lossyProxy passes bytes between clients and a server. While it loses, it drops the
// next reply and cuts that connection.
type lossyProxy struct {
	addr   string
	losing atomic.Bool

	losesOne atomic.Bool // the next reply only
}

func startLossyProxy(t *testing.T, server string) *lossyProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	p := &lossyProxy{addr: listener.Addr().String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // the test has ended
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(upstream, client)
				_ = upstream.Close()
			}()
			go p.passReplies(client, upstream)
		}
	}()
	return p
}

func (p *lossyProxy) passReplies(client, upstream net.Conn) {
	defer func() { _, _ = client.Close(), upstream.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := upstream.Read(buf)
		if err != nil || p.losing.Load() || p.losesOne.CompareAndSwap(true, false) {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// A call whose reply is lost was counted. Sending it again would count it twice.
func TestLostReplyIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	server, err := redisserver.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	proxy := startLossyProxy(t, server.Addr())
	client := redistest.Connect(t, "redis://"+proxy.addr)
	l, prefix := newRedisLimiter(t, client, slidingwindow.PerHour(100))
	direct := redistest.Connect(t, server.URL())
	var logged, lost int64
	for range 5 {
		_, err = l.Allow(t.Context(), "k")
		require.NoError(t, err)
		proxy.losing.Store(true)
		_, err = l.Allow(t.Context(), "k")
		proxy.losing.Store(false)
		require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)

		n, err := do(t, direct, "ZCOUNT", slidingwindow.RedisKey(prefix, "k", "100-per-1h"), "0", "+inf").AsInt64()
		require.NoError(t, err)
		// It was not counted if the client's new connection was cut before the call.
		require.LessOrEqual(t, n-logged, int64(2), "one call was answered and one was lost")
		lost += n - logged - 1
		logged = n
	}
	assert.Positive(t, lost, "a call was counted and its reply lost")
}

package slidingwindow_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// startFar makes the way to a server longer, and returns the address to use instead.
func startFar(t *testing.T, server string, oneWay time.Duration) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
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
			go passLater(upstream, client, oneWay)
			go passLater(client, upstream, oneWay)
		}
	}()
	return listener.Addr().String()
}

// passLater passes on what comes from src, each piece so much later.
func passLater(dst, src net.Conn, later time.Duration) {
	type piece struct {
		bytes []byte
		at    time.Time
	}
	pieces := make(chan piece, 1000)
	go func() {
		defer func() { _, _ = dst.Close(), src.Close() }()
		for p := range pieces {
			time.Sleep(time.Until(p.at))
			if _, err := dst.Write(p.bytes); err != nil {
				return
			}
		}
	}()
	defer close(pieces)
	for {
		b := make([]byte, 64<<10)
		n, err := src.Read(b)
		if err != nil {
			return
		}
		select {
		case pieces <- piece{b[:n], time.Now().Add(later)}:
		case <-time.After(patient):
			return
		}
	}
}

// A call needs one round trip. Connecting and logging in take two or three more, which is longer
// than the timeout here: they must not be a part of every call.
func TestARoundTripShorterThanTheTimeoutIsEnough(t *testing.T) {
	t.Parallel()
	store, wire := wired(t, startFar(t, startServer(t).Addr(), 45*time.Millisecond), slidingwindow.RedisConfig{})
	wire.slow(90 * time.Millisecond)
	l := newLimiter(t, store, slidingwindow.PerHour(much))
	decided := func(tries int) (n int) {
		for range tries {
			if _, err := l.Allow(context.Background(), "k"); err == nil {
				n++
			} else {
				require.ErrorIs(t, err, slidingwindow.ErrStoreUnavailable)
			}
		}
		return n
	}
	for began := time.Now(); decided(10) < 8; { // a busy machine makes some late
		require.Less(t, time.Since(began), patient, "most calls are never decided")
	}
}

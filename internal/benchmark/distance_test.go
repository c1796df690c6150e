package main

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestArrivalsAreTheSameForAll(t *testing.T) {
	t.Parallel()
	times := arrivals(2000, time.Second)
	assert.InDelta(t, 2000, len(times), 200)
	assert.True(t, slices.IsSorted(times))
	assert.Equal(t, times, arrivals(2000, time.Second))
	assert.Less(t, times[len(times)-1], time.Second)
}

// A call that began late was late.
func TestLatencyCountsFromWhenACallWasToBegin(t *testing.T) {
	t.Parallel()
	tally, err := openLoop(t.Context(), func(_ context.Context, key string) (bool, error) {
		if key == "c" {
			return false, errors.New("no answer")
		}
		return key == "a", nil
	}, []string{"a", "b", "c"}, []time.Duration{-time.Hour, -time.Hour, -time.Hour})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, tally.latency.quantile(0), time.Hour)
	assert.EqualValues(t, 2, tally.Decisions)
	assert.EqualValues(t, 1, tally.Admitted)
	assert.EqualValues(t, 1, tally.Errors)
}

// Each call is made although none is answered before the last.
func TestAnOpenLoopWaitsForNoAnswer(t *testing.T) {
	t.Parallel()
	const calls = 50
	begun := make(chan struct{}, calls)
	all := make(chan struct{})
	go func() {
		for range calls {
			<-begun
		}
		close(all)
	}()
	tally, err := openLoop(t.Context(), func(context.Context, string) (bool, error) {
		begun <- struct{}{}
		<-all
		return true, nil
	}, []string{"a"}, slices.Repeat([]time.Duration{time.Millisecond}, calls))
	require.NoError(t, err)
	assert.EqualValues(t, calls, tally.Admitted)
}

func TestTheAlarmIsNeverEarly(t *testing.T) {
	t.Parallel()
	alarm, err := newAlarm()
	require.NoError(t, err)
	defer alarm.close()
	for _, d := range []time.Duration{-time.Second, 0, time.Microsecond, 1700 * time.Microsecond, 5 * time.Millisecond} {
		until := time.Now().Add(d)
		require.NoError(t, alarm.wait(until))
		assert.False(t, time.Now().Before(until), d)
	}
}

// The proxy holds up both directions, keeps what passes as it is, and ends with either side.
func TestTheProxyHoldsUp(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = echo.Close() }()
	go func() {
		conn, err := echo.Accept()
		if err == nil {
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	}()
	const delay = 20 * time.Millisecond
	proxy, err := order{Place: place{Addrs: []string{echo.Addr().String()}}, Delay: delay}.proxy(t.Context())
	require.NoError(t, err)
	defer func() { assert.NoError(t, proxy.end()) }()
	conn, err := net.Dial("tcp", proxy.addr)
	require.NoError(t, err)
	fastest := time.Hour // a slow machine is slow in one exchange, not in all of them
	for range 10 {
		began := time.Now()
		_, err := conn.Write([]byte("x"))
		require.NoError(t, err)
		_, err = io.ReadFull(conn, make([]byte, 1))
		require.NoError(t, err)
		fastest = min(fastest, time.Since(began))
	}
	assert.GreaterOrEqual(t, fastest, 2*delay)

	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(i * i >> 8)
	}
	go func() { _, _ = conn.Write(sent) }()
	received := make([]byte, len(sent))
	_, err = io.ReadFull(conn, received)
	require.NoError(t, err)
	assert.Equal(t, sent, received)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	_, err = conn.Read(received)
	assert.ErrorIs(t, err, io.EOF)
	_ = conn.Close()
}

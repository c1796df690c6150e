package interrupt_test

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/internal/interrupt"
)

const patience = 20 * time.Second

// connect returns a connection of the registry, and its other end.
func connect(t *testing.T, r *interrupt.Registry) (conn *interrupt.Conn, server net.Conn) {
	t.Helper()
	client, server := net.Pipe()
	require.NoError(t, server.SetDeadline(time.Now().Add(patience)))
	conn = r.Wrap(client)
	t.Cleanup(func() { _, _ = conn.Close(), server.Close() })
	return conn, server
}

// read returns what ends a read, which may be nil.
func read(conn net.Conn) <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	return ended
}

func requireLeft(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	case <-time.After(patience):
		t.Fatal("the command still waits for its reply")
	}
}

// requireServes checks that a command of another caller gets its reply.
func requireServes(t *testing.T, r *interrupt.Registry, conn *interrupt.Conn, server net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetDeadline(r.Unique(time.Now().Add(patience))))
	ended := read(conn)
	_, err := server.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, <-ended)
}

func TestWorksWhenAConnectionIsKnown(t *testing.T) {
	t.Parallel()
	var r interrupt.Registry
	assert.False(t, r.Works())
	connect(t, &r)
	assert.True(t, r.Works())
}

func TestContextTellsItsRegistry(t *testing.T) {
	t.Parallel()
	r := &interrupt.Registry{}
	assert.Same(t, r, interrupt.Of(context.WithValue(t.Context(), interrupt.Key{}, r)))
	assert.Nil(t, interrupt.Of(t.Context()))
}

func TestUniqueGivesCommandsOfTheSameTimeOtherDeadlines(t *testing.T) {
	t.Parallel()
	var r interrupt.Registry
	deadline := time.Now()
	given := map[int64]bool{}
	for range 1000 {
		d := r.Unique(deadline)
		require.False(t, d.After(deadline))
		require.Less(t, deadline.Sub(d), time.Microsecond)
		given[d.UnixNano()] = true
	}
	assert.Len(t, given, 1000)
}

func TestACommandIsLeftWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	var r interrupt.Registry
	conn, server := connect(t, &r)
	other, otherServer := connect(t, &r)
	ctx, cancel := context.WithCancel(t.Context())
	deadline := time.Now().Add(time.Hour)
	mine := r.Unique(deadline)
	returned := r.Follow(ctx, mine)
	require.NoError(t, conn.SetDeadline(mine))
	require.NoError(t, other.SetDeadline(r.Unique(deadline)))
	ended, stays := read(conn), read(other)
	cancel()
	requireLeft(t, ended)
	require.Equal(t, 1, r.Leaving())
	returned()
	assert.Zero(t, r.Leaving())

	_, err := otherServer.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, <-stays, "another command gets its reply")
	requireServes(t, &r, conn, server)
}

// A context may end before the command has a connection.
func TestACommandIsLeftWhoseContextHasEndedBeforeItsDeadlineIsSet(t *testing.T) {
	t.Parallel()
	var r interrupt.Registry
	conn, server := connect(t, &r)
	ctx, cancel := context.WithCancel(t.Context())
	mine := r.Unique(time.Now().Add(time.Hour))
	returned := r.Follow(ctx, mine)
	cancel()
	require.Eventually(t, func() bool { return r.Leaving() == 1 }, patience, time.Millisecond)
	requireServes(t, &r, conn, server) // one of another caller comes first
	require.NoError(t, conn.SetDeadline(mine))
	requireLeft(t, read(conn))
	returned()
	assert.Zero(t, r.Leaving())
	requireServes(t, &r, conn, server)
}

func TestACommandThatHasReturnedIsNotLeft(t *testing.T) {
	t.Parallel()
	var r interrupt.Registry
	conn, server := connect(t, &r)
	ctx, cancel := context.WithCancel(t.Context())
	mine := r.Unique(time.Now().Add(time.Hour))
	returned := r.Follow(ctx, mine)
	require.NoError(t, conn.SetDeadline(mine))
	returned()
	cancel()
	ended := read(conn)
	_, err := server.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, <-ended, "the connection is another's now")
	assert.Zero(t, r.Leaving())
}

// hooked runs a function before a deadline is set.
type hooked struct {
	net.Conn
	before func()
}

func (c *hooked) SetDeadline(t time.Time) error {
	if before := c.before; before != nil {
		c.before = nil
		before()
	}
	return c.Conn.SetDeadline(t)
}

func TestACommandIsLeftWhoseContextEndsJustBeforeItsDeadlineIsSet(t *testing.T) {
	t.Parallel()
	var r interrupt.Registry
	client, server := net.Pipe()
	inner := &hooked{Conn: client}
	conn := r.Wrap(inner)
	t.Cleanup(func() { _, _ = conn.Close(), server.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	mine := r.Unique(time.Now().Add(time.Hour))
	returned := r.Follow(ctx, mine)
	inner.before = func() {
		cancel()
		assert.Eventually(t, func() bool { return r.Leaving() == 1 }, patience, time.Millisecond)
	}
	require.NoError(t, conn.SetDeadline(mine))
	requireLeft(t, read(conn))
	returned()
	assert.Zero(t, r.Leaving())
}

// Whatever comes first, a command whose context ends is left, and nothing of it stays.
func TestAContextMayEndWhileTheDeadlineIsSet(t *testing.T) {
	t.Parallel()
	var r interrupt.Registry
	conn, server := connect(t, &r)
	for range 3000 {
		ctx, cancel := context.WithCancel(t.Context())
		mine := r.Unique(time.Now().Add(time.Hour))
		returned := r.Follow(ctx, mine)
		go cancel()
		require.NoError(t, conn.SetDeadline(mine))
		requireLeft(t, read(conn))
		returned()
	}
	for range 3000 {
		ctx, cancel := context.WithCancel(t.Context())
		returned := r.Follow(ctx, r.Unique(time.Now().Add(time.Hour)))
		ended := make(chan struct{})
		go func() {
			cancel()
			close(ended)
		}()
		returned()
		<-ended
	}
	assert.Zero(t, r.Leaving())
	requireServes(t, &r, conn, server)
}

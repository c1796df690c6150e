package slidingwindow

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gates is what a group sends to: each command stops until the test lets it go on.
type gates struct {
	mu      sync.Mutex
	sent    []string // the keys, as they were sent
	arrived chan int // how many calls each has
	release chan struct{}
}

func newGates() *gates {
	return &gates{arrived: make(chan int, 1000), release: make(chan struct{})}
}

func (g *gates) send(_ context.Context, calls []*call) {
	g.pass(calls)
	for _, c := range calls {
		c.finish()
	}
}

func (g *gates) pass(calls []*call) {
	g.mu.Lock()
	for _, c := range calls {
		g.sent = append(g.sent, c.key)
	}
	g.mu.Unlock()
	g.arrived <- len(calls)
	<-g.release
}

func (g *gates) calls() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.sent)
}

// start makes a call and returns when it is under way or waits.
func start(t *testing.T, ctx context.Context, g *group, key string) (ended <-chan error) { //nolint:revive // t comes first in tests
	t.Helper()
	errs := make(chan error, 1)
	g.mu.Lock()
	before := g.flying + len(g.waiting)
	g.mu.Unlock()
	go func() {
		_, err := g.do(ctx, newCall(Request{Key: key}), time.Now().Add(g.timeout))
		errs <- err
	}()
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.flying+len(g.waiting) > before
	}, 10*time.Second, time.Microsecond)
	return errs
}

func (g *group) waitingCalls() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

func TestGroupJoinsWhatArrivesWhileOthersAreUnderWay(t *testing.T) {
	gates := newGates()
	g := newGroup(groupLimits{batches: 2, size: 3}, time.Minute, gates.send)
	var ended []<-chan error
	for _, key := range []string{"a", "b"} {
		ended = append(ended, start(t, t.Context(), g, key))
		require.Equal(t, 1, <-gates.arrived, "the first ones go at once")
	}
	for i, key := range []string{"c", "d", "e", "f", "g"} {
		ended = append(ended, start(t, t.Context(), g, key))
		require.Eventually(t, func() bool { return g.waitingCalls() == i+1 }, 10*time.Second, time.Microsecond)
	}
	gates.release <- struct{}{}
	require.Equal(t, 3, <-gates.arrived, "a batch is bounded")
	gates.release <- struct{}{}
	require.Equal(t, 2, <-gates.arrived)
	gates.release <- struct{}{}
	gates.release <- struct{}{}
	for _, end := range ended {
		require.NoError(t, <-end)
	}
	assert.Equal(t, []string{"a", "b", "c", "d", "e", "f", "g"}, gates.calls(), "in the order of their arrival")

	ended = []<-chan error{start(t, t.Context(), g, "later")}
	require.Equal(t, 1, <-gates.arrived)
	gates.release <- struct{}{}
	require.NoError(t, <-ended[0])
}

func TestGroupWithdrawsWhoLeavesBeforeBeingSent(t *testing.T) {
	gates := newGates()
	g := newGroup(groupLimits{batches: 2, size: 10}, time.Minute, gates.send)
	first := start(t, t.Context(), g, "first")
	<-gates.arrived
	batch := start(t, t.Context(), g, "batch")
	<-gates.arrived
	ctx, cancel := context.WithCancelCause(t.Context())
	left := start(t, ctx, g, "left")
	require.Eventually(t, func() bool { return g.waitingCalls() == 1 }, 10*time.Second, time.Microsecond)
	stays := start(t, t.Context(), g, "stays")
	require.Eventually(t, func() bool { return g.waitingCalls() == 2 }, 10*time.Second, time.Microsecond)
	why := errors.New("the client went away")
	cancel(why)
	require.ErrorIs(t, <-left, why, "at once")
	for range 3 {
		gates.release <- struct{}{}
	}
	require.NoError(t, <-first)
	require.NoError(t, <-batch)
	require.NoError(t, <-stays)
	assert.Equal(t, []string{"first", "batch", "stays"}, gates.calls())
}

func TestGroupGivesUpAfterTheTimeout(t *testing.T) {
	gates := newGates()
	g := newGroup(groupLimits{batches: 2, size: 10}, time.Millisecond, gates.send)
	first := start(t, t.Context(), g, "first")
	<-gates.arrived
	sent := start(t, t.Context(), g, "sent")
	<-gates.arrived
	waits := start(t, t.Context(), g, "waits")
	for _, end := range []<-chan error{first, sent, waits} {
		err := <-end
		assert.ErrorIs(t, err, ErrStoreUnavailable)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	}
	gates.release <- struct{}{}
	gates.release <- struct{}{}
	g.close()
	assert.Equal(t, []string{"first", "sent"}, gates.calls(), "what waits is not sent any more")
}

func TestGroupDrainsWhenItIsClosed(t *testing.T) {
	gates := newGates()
	g := newGroup(groupLimits{batches: 2, size: 10}, time.Minute, gates.send)
	var ended []<-chan error
	ended = append(ended, start(t, t.Context(), g, "a"))
	<-gates.arrived
	ended = append(ended, start(t, t.Context(), g, "b"))
	<-gates.arrived
	ended = append(ended, start(t, t.Context(), g, "c"))
	require.Eventually(t, func() bool { return g.waitingCalls() == 1 }, 10*time.Second, time.Microsecond)
	closed := make(chan struct{})
	go func() {
		g.close()
		close(closed)
	}()
	require.Eventually(t, func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.closed
	}, 10*time.Second, time.Microsecond)
	_, err := g.do(t.Context(), newCall(Request{Key: "late"}), time.Now().Add(time.Minute))
	require.ErrorIs(t, err, ErrStoreUnavailable)
	select {
	case <-closed:
		t.Fatal("closed while calls are under way")
	default:
	}
	for range 3 {
		gates.release <- struct{}{}
	}
	<-closed
	for _, end := range ended {
		require.NoError(t, <-end)
	}
	assert.Equal(t, []string{"a", "b", "c"}, gates.calls())
	g.close() // again
}

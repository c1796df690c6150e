package slidingwindow

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow/internal/interrupt"
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
		_, err := g.do(ctx, newCall(&Request{Key: key}, nil), time.Now().Add(g.timeout))
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

func (g *group) isIdle() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting) == 0 && g.flying == 0
}

func TestGroupJoinsWhatArrivesWhileOthersAreUnderWay(t *testing.T) {
	gates := newGates()
	g := newGroup(groupLimits{batches: 2, size: 3}, time.Minute, &interrupt.Registry{}, gates.send)
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
	g := newGroup(groupLimits{batches: 2, size: 10}, time.Minute, &interrupt.Registry{}, gates.send)
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
	g := newGroup(groupLimits{batches: 2, size: 10}, time.Millisecond, &interrupt.Registry{}, gates.send)
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
	g := newGroup(groupLimits{batches: 2, size: 10}, time.Minute, &interrupt.Registry{}, gates.send)
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
	_, err := g.do(t.Context(), newCall(&Request{Key: "late"}, nil), time.Now().Add(time.Minute))
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

// goroutine is a text that only the calling goroutine has.
func goroutine() string {
	stack := make([]byte, 64)
	return strings.Fields(string(stack[:runtime.Stack(stack, false)]))[1]
}

func TestGroupDecidesALoneCallInItsCallersGoroutine(t *testing.T) {
	var sentIn string
	var deadline time.Time
	g := newGroup(groupLimits{batches: 2, size: 10}, time.Minute, &interrupt.Registry{}, func(ctx context.Context, calls []*call) {
		sentIn = goroutine()
		deadline, _ = ctx.Deadline()
	})
	want := time.Now().Add(5 * time.Second)
	_, err := g.do(context.Background(), newCall(&Request{Key: "k"}, nil), want)
	require.NoError(t, err)
	assert.Equal(t, goroutine(), sentIn)
	assert.Equal(t, want, deadline, "which the caller's deadline bounds")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err = g.do(ctx, newCall(&Request{Key: "k"}, nil), want)
	require.NoError(t, err)
	assert.NotEqual(t, goroutine(), sentIn, "a caller that may leave must not be held by the command")
}

// The first of the calls that wait leads them. Others must not be cut short by its deadline,
// nor wait for ever if it leaves first.
func TestGroupsLeaderHoldsUpNobody(t *testing.T) {
	gates := newGates()
	var mu sync.Mutex
	var left []time.Duration
	g := newGroup(groupLimits{batches: 1, size: 10}, time.Minute, &interrupt.Registry{}, func(ctx context.Context, calls []*call) {
		deadline, _ := ctx.Deadline()
		mu.Lock()
		left = append(left, time.Until(deadline))
		mu.Unlock()
		gates.send(ctx, calls)
	})
	first := start(t, context.Background(), g, "first")
	<-gates.arrived
	hasty := make(chan error, 1)
	go func() {
		_, err := g.do(context.Background(), newCall(&Request{Key: "hasty"}, nil), time.Now().Add(10*time.Second))
		hasty <- err
	}()
	require.Eventually(t, func() bool { return g.waitingCalls() == 1 }, 10*time.Second, time.Microsecond)
	patient := start(t, context.Background(), g, "patient")
	require.Eventually(t, func() bool { return g.waitingCalls() == 2 }, 10*time.Second, time.Microsecond)
	gates.release <- struct{}{}
	require.Equal(t, 2, <-gates.arrived)
	gates.release <- struct{}{}
	for _, end := range []<-chan error{first, hasty, patient} {
		require.NoError(t, <-end)
	}
	assert.Greater(t, left[1], 30*time.Second, "the batch has the time of all")

	first = start(t, context.Background(), g, "first")
	<-gates.arrived
	ctx, cancel := context.WithCancel(t.Context())
	leaves := start(t, ctx, g, "leaves")
	patient = start(t, context.Background(), g, "patient")
	require.Eventually(t, func() bool { return g.waitingCalls() == 2 }, 10*time.Second, time.Microsecond)
	g.mu.Lock() // so that it is named to lead, and leaves, before it can
	gates.release <- struct{}{}
	cancel()
	runtime.Gosched()
	g.mu.Unlock()
	require.Error(t, <-leaves)
	<-gates.arrived
	gates.release <- struct{}{}
	require.NoError(t, <-first)
	require.NoError(t, <-patient)
	g.close()
}

// Callers that come and go at random leave nothing behind, and each is answered.
func TestGroupWithCallersThatLeaveAtAnyTime(t *testing.T) {
	g := newGroup(groupLimits{batches: 2, size: 5}, 10*time.Second, &interrupt.Registry{}, func(_ context.Context, calls []*call) {
		time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
	})
	var callers sync.WaitGroup
	for i := range 32 {
		callers.Go(func() {
			for range 200 {
				ctx := context.Background()
				if i%2 == 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(300))*time.Microsecond)
					defer cancel()
				}
				if _, err := g.do(ctx, newCall(&Request{Key: "k"}, nil), time.Now().Add(10*time.Second)); i%2 == 1 {
					assert.NoError(t, err)
				}
			}
		})
	}
	callers.Wait()
	g.close()
	assert.Zero(t, g.flying)
	assert.Empty(t, g.waiting)
}

func TestBatchesInFlightFollowTheNetwork(t *testing.T) {
	var byDefault groupLimits
	for trip, want := range map[time.Duration]int{
		0: 1, 99 * time.Microsecond: 1, 100 * time.Microsecond: 2, time.Millisecond: 6, 5 * time.Millisecond: 22, 20 * time.Millisecond: 32, time.Hour: 32,
	} {
		assert.Equal(t, want, byDefault.batchesFor(trip, 1), trip)
		assert.Equal(t, 7, groupLimits{batches: 7}.batchesFor(trip, 1000), "as it was set")
	}
	for waiting, want := range map[int]int{15: 1, 16: 2, 32: 3, 48: 4, 1000: 4} {
		assert.Equal(t, want, byDefault.batchesFor(0, waiting), "many calls wait for a Redis that is near")
	}
	var r roundTrip
	assert.Zero(t, r.fastest())
	now := time.Now()
	r.note(now, 20*time.Millisecond, false)
	assert.Equal(t, 20*time.Millisecond, r.fastest(), "of a program that is busy from the start")
	r = roundTrip{}
	r.note(now, 3*time.Millisecond, true)
	r.note(now, time.Millisecond, true)
	r.note(now, 2*time.Millisecond, true)
	assert.Equal(t, time.Millisecond, r.fastest())
	now = now.Add(1100 * time.Millisecond)
	r.note(now, 20*time.Millisecond, true)
	assert.Equal(t, time.Millisecond, r.fastest(), "of the second before")
	now = now.Add(1100 * time.Millisecond)
	r.note(now, 30*time.Millisecond, true)
	assert.Equal(t, 20*time.Millisecond, r.fastest(), "the network has changed")
	now = now.Add(time.Minute)
	r.note(now, time.Second, false)
	assert.Equal(t, 20*time.Millisecond, r.fastest(), "a call that waited for others does not tell of the network")
	r.note(now, time.Millisecond, false)
	assert.Equal(t, time.Millisecond, r.fastest(), "unless it was faster")
}

// The first call of a batch may be named to lead it just when its context ends.
func TestALeaderWhoseContextHasEndedLeadsTheOthersAndTakesNothing(t *testing.T) {
	gates := newGates()
	close(gates.release)
	g := newGroup(groupLimits{batches: 1, size: 10}, time.Minute, &interrupt.Registry{}, gates.send)
	leader := newCall(&Request{Key: "leader"}, nil)
	leader.leading = true
	g.waiting, g.flying, g.gathering = []*call{leader}, 1, true
	other := make(chan error, 1)
	go func() {
		_, err := g.do(t.Context(), newCall(&Request{Key: "other"}, nil), time.Now().Add(time.Minute))
		other <- err
	}()
	require.Eventually(t, func() bool { return g.waitingCalls() == 2 }, 10*time.Second, time.Microsecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.lead(ctx, leader, time.Now().Add(time.Minute))
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, <-other)
	assert.Equal(t, []string{"other"}, gates.calls())
	require.Eventually(t, g.isIdle, 10*time.Second, time.Microsecond)

	// Alone, it sends nothing.
	alone := newCall(&Request{Key: "alone"}, nil)
	alone.leading = true
	g.waiting, g.flying, g.gathering = []*call{alone}, 1, true
	_, err = g.lead(ctx, alone, time.Now().Add(time.Minute))
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, g.isIdle, 10*time.Second, time.Microsecond)
	assert.Equal(t, []string{"other"}, gates.calls())
	_, err = g.do(t.Context(), newCall(&Request{Key: "next"}, nil), time.Now().Add(time.Minute))
	require.NoError(t, err, "it holds up nobody")
}

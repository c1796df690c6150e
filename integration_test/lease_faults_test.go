//go:build unix

package integration_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// leased is a limit that four processes use from leases, always more than there is of it. The
// witness never refuses: its log tells what was counted in all.
var (
	leased  = slidingwindow.Limit{Name: "leased", Max: 10_000, Window: 2 * time.Second}
	witness = slidingwindow.Limit{Name: "witness", Max: 1_000_000_000, Window: 24 * time.Hour}
)

// leaseFault is something that goes wrong while leases are held.
type leaseFault struct {
	name   string
	killed int // processes

	// It may let so many units be used too often, in a window. Most let none.
	mayBeOver int64
	// Redis forgets what it counted.
	forgets bool

	redis func(t *testing.T) leaseRedis // nil: a private one
	// strike is called in the middle of the traffic, when process 0 has a lease.
	strike func(t *testing.T, h *holders, redis leaseRedis)
}

// leaseRedis is what the processes connect to, and the servers behind it.
type leaseRedis struct {
	url     string
	server  *redisserver.Server
	replica *redisserver.Server // or nil
	address *redisserver.Address
}

func privateRedis(t *testing.T, args ...string) leaseRedis {
	t.Helper()
	server := startServer(t, args...)
	return leaseRedis{url: server.URL(), server: server}
}

func redisWithClock(t *testing.T) leaseRedis {
	t.Helper()
	server, err := redisserver.StartWithClock(t.Context())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Stop()) })
	return leaseRedis{url: server.URL(), server: server}
}

// redisWithReplica is behind an address that moves to the replica.
func redisWithReplica(t *testing.T) leaseRedis {
	t.Helper()
	master := startServer(t)
	replica, err := redisserver.StartReplica(t.Context(), master)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, replica.Stop()) })
	address, err := redisserver.StartAddress(master)
	require.NoError(t, err)
	t.Cleanup(address.Stop)
	return leaseRedis{url: address.URL(), server: master, replica: replica, address: address}
}

func stopFor(while time.Duration) func(*testing.T, *holders, leaseRedis) {
	return func(t *testing.T, h *holders, _ leaseRedis) {
		t.Helper()
		h.signal(t, 0, syscall.SIGSTOP)
		defer h.signal(t, 0, syscall.SIGCONT)
		time.Sleep(while)
	}
}

func restart(t *testing.T, _ *holders, redis leaseRedis) {
	t.Helper()
	require.NoError(t, redis.server.Kill())
	require.NoError(t, redis.server.Restart(t.Context()))
}

// promote has the replica take over, and lose what the master is told in the time between.
func promote(behind time.Duration) func(*testing.T, *holders, leaseRedis) {
	return func(t *testing.T, _ *holders, redis leaseRedis) {
		t.Helper()
		require.NoError(t, redis.replica.Lead(t.Context()))
		time.Sleep(behind)
		redis.address.Move(redis.replica)
		require.NoError(t, redis.server.Kill())
	}
}

// setClock waits until the clock's step hits what was used in most of a window.
func setClock(seconds int) func(*testing.T, *holders, leaseRedis) {
	return func(t *testing.T, _ *holders, redis leaseRedis) {
		t.Helper()
		time.Sleep(leased.Window * 3 / 4)
		require.NoError(t, redis.server.SetClock(seconds))
	}
}

func leaseFaults() []leaseFault {
	persistent := func(t *testing.T) leaseRedis {
		t.Helper()
		return privateRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	}
	return []leaseFault{
		{name: "none", strike: func(*testing.T, *holders, leaseRedis) {}},
		{name: "a process is killed", killed: 1, strike: func(t *testing.T, h *holders, _ leaseRedis) {
			t.Helper()
			h.signal(t, 0, syscall.SIGKILL)
		}},
		{name: "a process is stopped for 200 ms", strike: stopFor(200 * time.Millisecond)},
		// When it goes on, its lease has left the window, and others have taken all.
		{name: "a process is stopped for a Window and a half", strike: stopFor(leased.Window * 3 / 2)},
		{name: "Redis is killed and keeps its data", redis: persistent, strike: restart},
		{name: "Redis is killed and loses its data", forgets: true, mayBeOver: leased.Max, strike: restart},
		{name: "a replica takes over, and has all", mayBeOver: leased.Max, redis: redisWithReplica, forgets: true, strike: promote(0)},
		{name: "a replica takes over, 0.5 s behind", mayBeOver: leased.Max, redis: redisWithReplica, forgets: true, strike: promote(500 * time.Millisecond)},
		{name: "Redis's clock is set back 1 s", redis: redisWithClock, strike: setClock(-1)},
		{name: "Redis's clock is set forward 1 s", redis: redisWithClock, mayBeOver: leased.Max, strike: setClock(1)},
	}
}

// TestPromise1_WhatFaultsCostLeases makes the table of docs/leases.md, with -v. Where a row says so
// no window may hold a unit too many, and nothing may be used that was not counted.
func TestPromise1_WhatFaultsCostLeases(t *testing.T) {
	faults := leaseFaults()
	rows := make([]string, len(faults))
	t.Run("fault", func(t *testing.T) {
		for i, fault := range faults {
			t.Run(fault.name, func(t *testing.T) {
				t.Parallel()
				rows[i] = fault.run(t)
			})
		}
	})
	t.Logf("%d in %v, four processes:\n| fault | units over Max in the fullest window | counted and not used | used in the emptiest window |\n|---|---:|---:|---:|\n%s",
		leased.Max, leased.Window, strings.Join(rows, ""))
}

// run returns the fault's row.
func (f *leaseFault) run(t *testing.T) string {
	t.Helper()
	start := f.redis
	if start == nil {
		start = func(t *testing.T) leaseRedis { t.Helper(); return privateRedis(t) }
	}
	redis := start(t)
	h := startHolders(t, 4, leaseTask{
		URL: redis.url, Limits: []slidingwindow.Limit{leased, witness}, Goroutines: 8, Pause: 2 * time.Millisecond, Outages: true,
	})
	for i := range h.commands {
		h.await(t, 1, i)
	}
	h.await(t, int(leased.Max))
	h.await(t, 100, 0) // so it has a lease now
	f.strike(t, h, redis)
	h.await(t, int(3*leased.Max))
	uses := h.end(t, f.killed)

	most, least := mostInAWindow(uses, leased.Window), leastInAWindow(uses, leased.Window)
	over := max(0, int64(most)-leased.Max)
	assert.LessOrEqual(t, over, f.mayBeOver, "units over Max in a window")
	if f.forgets {
		return fmt.Sprintf("| %s | %d | - | %d |\n", f.name, over, least)
	}
	var counted int64
	for _, hit := range readLog(t, redistest.Connect(t, redis.server.URL()), "rl:{hot}:"+witness.Name) {
		counted += hit.Units
	}
	assert.GreaterOrEqual(t, counted, int64(len(uses)), "all that was used was counted")
	return fmt.Sprintf("| %s | %d | %d | %d |\n", f.name, over, counted-int64(len(uses)), least)
}

// leastInAWindow is how many units at least were used in each window between the first use and the
// last. More was asked for all the time.
func leastInAWindow(uses []use, window time.Duration) int {
	slices.SortFunc(uses, func(a, b use) int { return int(a.From - b.From) })
	least, last := len(uses), uses[len(uses)-1].From
	for i, j := 0, 0; i < len(uses) && uses[i].From+int64(window) <= last; i++ {
		for j < len(uses) && uses[j].From <= uses[i].From+int64(window) {
			j++
		}
		least = min(least, j-i-1)
	}
	return least
}

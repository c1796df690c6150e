package slidingwindow_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/internal/redistest"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	soakTime = 3 * time.Second
	soakKeys = 18
)

// Whatever happens on the way to Redis, a call that was answered is counted, and no call is counted
// twice.
func TestSoakOfTheTransport(t *testing.T) {
	t.Parallel()
	t.Run("single", func(t *testing.T) {
		t.Parallel()
		server := startServer(t)
		soak(t, []*redisserver.Server{server}, killOne, flushScripts)
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		cluster := startCluster(t)
		move := func(t *testing.T, to *redisserver.Server) { moveSlot(t, cluster, to) }
		soak(t, cluster.Nodes, killOne, flushScripts, move)
	})
}

// outcomes are how the calls of a key ended.
type outcomes struct{ answered, failed, ended atomic.Int64 }

func (o *outcomes) note(err error) {
	switch {
	case err == nil:
		o.answered.Add(1)
	case errors.Is(err, slidingwindow.ErrStoreUnavailable):
		o.failed.Add(1) // it may have been counted
	default:
		o.ended.Add(1) // so may this
	}
}

func soak(t *testing.T, nodes []*redisserver.Server, faults ...func(*testing.T, *redisserver.Server)) {
	t.Helper()
	store, wire := wired(t, nodes[0].Addr(), slidingwindow.RedisConfig{BatchSize: 16, ConnectionLifetime: 500 * time.Millisecond})
	faults = append(faults, func(*testing.T, *redisserver.Server) { wire.losing.Store(true) })
	limiters := []*slidingwindow.Limiter{
		newLimiter(t, store, slidingwindow.PerHour(much)),
		newLimiter(t, store, slidingwindow.PerHour(much), slidingwindow.PerDay(2*much)),
	}
	faulty, cancel := context.WithTimeout(t.Context(), soakTime)
	defer cancel()
	ctx, enough := context.WithTimeout(t.Context(), soakTime+patient)
	defer enough()
	var of [soakKeys]outcomes
	var all sync.WaitGroup
	for caller := range 30 {
		all.Go(func() {
			for ctx.Err() == nil {
				// Each third of the callers has keys of its own: of calls that ended nobody knows
				// whether they were counted.
				key := rand.IntN(soakKeys/3)*3 + caller%3
				c, stop := context.Background(), func() {}
				switch caller % 3 {
				case 0: // leaves at any time
					c, stop = context.WithTimeout(c, time.Duration(rand.IntN(4000))*time.Microsecond)
				case 1:
					c, stop = context.WithTimeout(c, time.Minute)
				}
				_, err := limiters[key/3%2].Allow(c, fmt.Sprint("key", key))
				stop()
				of[key].note(err)
				if err == nil && faulty.Err() != nil {
					enough() // on a busy machine no call may succeed before the faults end
				}
			}
		})
	}
	for _, fault := range faults {
		all.Go(func() {
			for faulty.Err() == nil {
				fault(t, nodes[rand.IntN(len(nodes))])
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
	all.Wait()
	store.Close() // waits for calls whose callers have left
	judge := judgeOf(t, nodes)
	var answered, failed, ended, counted int64
	for key := range of {
		taken := used(t, judge, fmt.Sprint("key", key))
		a, f, e := of[key].answered.Load(), of[key].failed.Load(), of[key].ended.Load()
		assert.GreaterOrEqual(t, taken, a, "key %d: units of calls that were answered are lost", key)
		assert.LessOrEqual(t, taken, a+f+e, "key %d: calls were counted twice", key)
		answered, failed, ended, counted = answered+a, failed+f, ended+e, counted+taken
	}
	t.Logf("%d calls answered, %d failed, %d ended by their contexts; %d counted", answered, failed, ended, counted)
	assert.Positive(t, answered)
}

// judgeOf returns a limiter whose client has seen no fault.
func judgeOf(t *testing.T, nodes []*redisserver.Server) *slidingwindow.Limiter {
	t.Helper()
	store, err := slidingwindow.NewRedisStore(redistest.Connect(t, nodes[0].URL()), slidingwindow.RedisConfig{Timeout: patient})
	require.NoError(t, err)
	return newLimiter(t, store, slidingwindow.PerHour(much))
}

func flushScripts(t *testing.T, node *redisserver.Server) {
	t.Helper()
	_, err := node.Do(t.Context(), "script", "flush")
	assert.NoError(t, err)
}

// killOne ends a connection of a client.
func killOne(t *testing.T, node *redisserver.Server) {
	t.Helper()
	reply, err := node.Do(t.Context(), "client", "list", "type", "normal")
	assert.NoError(t, err)
	list := strings.Split(reply, "\n")
	id, _, _ := strings.Cut(strings.TrimPrefix(list[rand.IntN(len(list))], "id="), " ")
	_, _ = node.Do(t.Context(), "client", "kill", "id", id) // it may have ended by itself
}

// moveSlot moves the slot of a key, unless the node has it already.
func moveSlot(t *testing.T, cluster *redisserver.Cluster, to *redisserver.Server) {
	t.Helper()
	var slot uint16
	reply, err := to.Do(t.Context(), "cluster", "keyslot", fmt.Sprint("rl:{key", rand.IntN(soakKeys), "}:"))
	assert.NoError(t, err)
	_, err = fmt.Sscan(reply, &slot)
	assert.NoError(t, err)
	move, err := cluster.BeginMove(t.Context(), slot, to)
	if err != nil {
		return
	}
	time.Sleep(20 * time.Millisecond)
	assert.NoError(t, move.End(t.Context()))
}

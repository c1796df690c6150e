//go:build unix

package faults_test

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/config"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	// What a decision may take beyond its timeout before a test fails. The promise is 50 ms
	// on a machine with time for it; see TestTimeBound.
	machineSlack = time.Second

	// How long the service may take to be back before a test fails. The promise is 1 s.
	recoveryBound = 5 * time.Second

	hotKeys  = 4
	coldKeys = 100_000
)

// A scenario is traffic on a Redis while something goes wrong with it. Half of the calls
// are for a few keys that are always at their limit, so that one hit too many shows; half
// for random keys, which always need Redis.
type scenario struct {
	Fault string // its name in the table

	// URL is the REDIS_URL of each instance: a client, a store and a limiter of its own,
	// set up as in production. Two instances.
	URL string

	Limit   slidingwindow.Limit // defaults to 20 in 250ms
	Timeout time.Duration       // of the store; defaults to 250ms
	Callers int                 // defaults to 32, over all instances

	// Inject begins the fault, and Lift ends it: nil if there is nothing to end. They run in
	// the test's goroutine, so they may require. The fault lasts for Hold after Inject.
	Inject, Lift func()
	Hold         time.Duration // defaults to 300ms, and 3s in the long form

	// Repeat is how long after Inject it is called again, and so on during Hold; 0 for never.
	Repeat time.Duration

	// After is how long the traffic goes on after Lift; defaults to Hold, 600ms at least, and 1s in the long form.
	After time.Duration

	// MayLose is how often the fault may make Redis forget the logs: each time a key may
	// get Max units once more. 0 if no window may exceed Max.
	MayLose int

	// Recovery bounds the time until all calls succeed again; defaults to recoveryBound.
	Recovery time.Duration
}

func (s *scenario) setDefaults() {
	setDefault(&s.Limit, slidingwindow.Limit{Name: "tested", Max: 20, Window: 250 * time.Millisecond})
	setDefault(&s.Timeout, 250*time.Millisecond)
	setDefault(&s.Callers, 32)
	setDefault(&s.Hold, shortOrLong(300*time.Millisecond, 3*time.Second))
	setDefault(&s.After, max(s.Hold, shortOrLong(600*time.Millisecond, time.Second)))
	setDefault(&s.Recovery, recoveryBound)
}

func setDefault[T comparable](setting *T, value T) {
	if *setting == *new(T) {
		*setting = value
	}
}

// run makes the traffic, begins and ends the fault, checks what holds under every fault,
// and notes the row in the table:
//
//   - an error is ErrStoreUnavailable, and no other
//   - no call takes longer than its timeout, but for what a busy machine adds
//   - no window exceeds Max, unless the scenario says why
//   - the service is back by itself
func (s scenario) run(t *testing.T) row {
	t.Helper()
	s.setDefaults()
	var instances []*slidingwindow.Limiter
	for range 2 {
		instances = append(instances, connect(t, s.URL, s.Timeout, s.Limit))
	}
	load := startTraffic(instances, s.Callers)
	defer load.stop()
	load.awaitSuccess(t)

	time.Sleep(s.Hold / 4)
	s.Inject()
	injected := time.Now()
	for s.Repeat > 0 && time.Since(injected) < s.Hold {
		time.Sleep(s.Repeat)
		s.Inject()
	}
	time.Sleep(time.Until(injected.Add(s.Hold)))
	lifting := time.Now()
	if s.Lift != nil {
		s.Lift()
	}
	lifted := time.Now()
	time.Sleep(s.After)
	load.stop()

	r := load.row(s.Fault, injected, lifting, lifted)
	r.Over = overAdmitted(load.admitted(), s.Limit)
	s.check(t, r)
	table.add(r)
	return r
}

func (s *scenario) check(t *testing.T, r row) {
	t.Helper()
	t.Log(r)
	assert.Empty(t, r.Untyped, "every error is a typed one")
	assert.Less(t, r.Worst, s.Timeout+machineSlack, "no call hangs")
	assert.LessOrEqual(t, r.Over, s.Limit.Max*int64(s.MayLose), "units beyond Max in the worst window")
	assert.True(t, r.Recovered, "it works again")
	assert.Less(t, r.AllSucceed, s.Recovery, "from the end of the fault until no call fails")
}

// connect is an instance as a program sets it up, on a connection of its own.
func connect(t *testing.T, url string, timeout time.Duration, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	return limiterOf(t, client(t, url), timeout, limits...)
}

func limiterOf(t *testing.T, c rueidis.Client, timeout time.Duration, limits ...slidingwindow.Limit) *slidingwindow.Limiter {
	t.Helper()
	store, err := slidingwindow.NewRedisStore(c, slidingwindow.RedisConfig{Timeout: timeout})
	require.NoError(t, err)
	t.Cleanup(store.Close) // before the client
	limiter, err := slidingwindow.New(store, limits...)
	require.NoError(t, err)
	return limiter
}

// client is a client as package config makes it.
func client(t *testing.T, url string) rueidis.Client {
	t.Helper()
	cfg, err := config.Load(config.Sources{Environ: []string{"REDIS_URL=" + url}})
	require.NoError(t, err)
	cfg.Redis.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	c, err := cfg.Redis.Connect(t.Context())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// traffic is callers that call again and again.
type traffic struct {
	callers []*caller
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func startTraffic(instances []*slidingwindow.Limiter, callers int) *traffic {
	recorded.Store(0)
	load := &traffic{}
	load.ctx, load.cancel = context.WithCancel(context.Background())
	for i := range callers {
		c := &caller{limiter: instances[i%len(instances)]}
		load.callers = append(load.callers, c)
		load.running.Go(func() { c.run(load.ctx) })
	}
	return load
}

// stop waits for the calls that are under way.
func (load *traffic) stop() {
	load.cancel()
	load.running.Wait()
}

// awaitSuccess waits until every caller was served.
func (load *traffic) awaitSuccess(t *testing.T) {
	t.Helper()
	for _, c := range load.callers {
		require.Eventually(t, c.served, time.Minute, 5*time.Millisecond, "no traffic before the fault")
	}
}

// caller makes one call after the other and records them.
type caller struct {
	limiter *slidingwindow.Limiter

	mu    sync.Mutex
	calls []record
}

// A record is a call. Redis decided it, if it did, between start and end.
type record struct {
	start, end time.Time
	key        string // "" if it was not admitted
	units      int64
	cached     bool // no evidence of how Redis is
	err        error
}

// recorded is how many bytes the records of the last traffic take.
var recorded atomic.Uint64

func (r *record) took() time.Duration { return r.end.Sub(r.start) }

func (c *caller) run(ctx context.Context) {
	for ctx.Err() == nil {
		key := "hot-" + strconv.Itoa(rand.IntN(hotKeys))
		if rand.IntN(2) == 0 {
			key = "cold-" + strconv.Itoa(rand.IntN(coldKeys))
		}
		r := record{start: time.Now()}
		// Not with ctx: its end is the end of the test, and no fault.
		d, err := c.limiter.Allow(context.Background(), key)
		r.end, r.units, r.err = time.Now(), d.Granted, err
		r.cached = d.Reason == slidingwindow.ReasonCached
		if d.Granted > 0 {
			r.key = key
		}
		c.mu.Lock()
		had := cap(c.calls)
		c.calls = append(c.calls, r)
		recorded.Add(uint64(cap(c.calls)-had) * uint64(unsafe.Sizeof(r)))
		c.mu.Unlock()
		time.Sleep(time.Millisecond) // some hundred thousand records are enough
	}
}

func (c *caller) served() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.calls {
		if c.calls[i].err == nil {
			return true
		}
	}
	return false
}

// each visits the calls of all callers, which must have stopped.
func (load *traffic) each(visit func(*record)) {
	for _, c := range load.callers {
		for i := range c.calls {
			visit(&c.calls[i])
		}
	}
}

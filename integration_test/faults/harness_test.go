//go:build unix

package faults_test

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
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
	// The long form's bounds: what a decision may take beyond its timeout, where TestTimeBound
	// does not ask for what is promised, and how soon the service must be back.
	longSlack    = time.Second
	longRecovery = 5 * time.Second

	// In the short form no time decides: a machine may stall for seconds. These bound waits
	// that end by themselves.
	patience = time.Minute
	poll     = 5 * time.Millisecond

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
	Timeout time.Duration       // of the store; defaults to 250ms, and to patience if Harmless, in the short form
	Callers int                 // defaults to 32, over all instances

	// Inject begins the fault, and Lift ends it: nil if there is nothing to end. They run in
	// the test's goroutine, so they may require. The fault lasts for Hold after Inject, and
	// until Until holds of the calls since Inject.
	Inject, Lift func()
	Hold         time.Duration // defaults to 300ms, and 3s in the long form
	Until        condition     // defaults to everybody(failed), and to everybody(decided) if Harmless

	// Harmless faults make no call fail.
	Harmless bool

	// Repeat is how long after Inject it is called again, and so on while the fault lasts; 0 for never.
	Repeat time.Duration

	// The traffic goes on for After since Lift, and until Then holds of the calls since Lift.
	After time.Duration // defaults to Hold, and 1s at least in the long form
	Then  condition     // defaults to everybody(decided)

	// MayLose is how often the fault may make Redis forget the logs: each time a key may
	// get Max units once more. 0 if no window may exceed Max.
	MayLose int
}

func (s *scenario) setDefaults() {
	setDefault(&s.Limit, slidingwindow.Limit{Name: "tested", Max: 20, Window: 250 * time.Millisecond})
	if s.Until == nil {
		s.Until = everybody(failed)
		if s.Harmless {
			s.Until = everybody(decided)
		}
	}
	if s.Then == nil {
		s.Then = everybody(decided)
	}
	if s.Harmless {
		setDefault(&s.Timeout, shortOrLong(patience, 250*time.Millisecond))
		s.URL = patient(s.URL)
	}
	setDefault(&s.Timeout, 250*time.Millisecond)
	setDefault(&s.Callers, 32)
	setDefault(&s.Hold, shortOrLong(300*time.Millisecond, 3*time.Second))
	setDefault(&s.After, max(s.Hold, shortOrLong(0, time.Second)))
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
//   - no call waits for the end of the fault
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
	injecting := time.Now()
	s.Inject()
	injected := time.Now()
	pause := func() { time.Sleep(poll) }
	if s.Repeat > 0 {
		pause = func() { time.Sleep(s.Repeat); s.Inject() }
	}
	since := injected
	if !s.Harmless {
		since = injecting // it may be over when Inject returns
	}
	shown := await(func() bool { return time.Since(injected) >= s.Hold && s.Until(load, since) }, pause)
	none := load.endAll()
	lifting := time.Now()
	if s.Lift != nil {
		s.Lift()
	}
	lifted := time.Now()
	assert.True(t, shown, "each caller was told of the fault while it lasted")
	assert.True(t, none, "no call waits for the end of the fault")
	back := await(func() bool { return time.Since(lifted) >= s.After && s.Then(load, lifted) }, func() { time.Sleep(poll) })
	load.stop()

	r := load.row(s.Fault, injected, lifting, lifted)
	r.Over = overAdmitted(load.admitted(), s.Limit)
	s.check(t, r)
	assert.True(t, back, "all works again")
	table.add(r)
	return r
}

func (s *scenario) check(t *testing.T, r row) {
	t.Helper()
	t.Log(r)
	assert.Empty(t, r.Untyped, "every error is a typed one")
	assert.LessOrEqual(t, r.Over, s.Limit.Max*int64(s.MayLose), "units beyond Max in the worst window")
	if s.Harmless {
		assert.Empty(t, r.Errors)
	}
	if *long {
		assert.Less(t, r.Worst, s.Timeout+longSlack, "no call hangs")
		assert.Less(t, r.AllSucceed, longRecovery, "from the end of the fault until no call fails")
	}
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
	var c rueidis.Client
	require.Eventually(t, func() bool { c, err = cfg.Redis.Connect(t.Context()); return err == nil }, patience, poll)
	t.Cleanup(c.Close)
	return c
}

// patient makes the client, in the short form, wait for a slow machine rather than give a
// connection up.
func patient(url string) string {
	if *long {
		return url
	}
	separator := "?"
	if strings.Contains(url, separator) {
		separator = "&"
	}
	return url + separator + "dial_timeout=1m&write_timeout=1m"
}

// traffic is callers that call again and again.
type traffic struct {
	callers []*caller
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	calling sync.RWMutex // read-locked by each call
}

func startTraffic(instances []*slidingwindow.Limiter, callers int) *traffic {
	recorded.Store(0)
	load := &traffic{}
	load.ctx, load.cancel = context.WithCancel(context.Background())
	for i := range callers {
		c := &caller{limiter: instances[i%len(instances)]}
		load.callers = append(load.callers, c)
		load.running.Go(func() { c.run(load.ctx, &load.calling) })
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
		require.Eventually(t, func() bool { return c.made(time.Time{}, served) }, patience, poll, "no traffic before the fault")
	}
}

// endAll lets the calls that are under way end before any other begins, and tells whether
// they do.
func (load *traffic) endAll() bool {
	ended := make(chan struct{})
	go func() {
		load.calling.Lock()
		close(ended)
		load.calling.Unlock()
	}()
	select {
	case <-ended:
		return true
	case <-time.After(patience):
		return false
	}
}

// await waits until the condition holds, and tells whether it did. It pauses between looks.
func await(holds func() bool, pause func()) bool {
	for deadline := time.Now().Add(patience); !holds(); pause() {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// A condition is of the calls that began since some time.
type condition func(load *traffic, since time.Time) bool

// everybody is: each caller made such a call.
func everybody(such kind) condition {
	return func(load *traffic, since time.Time) bool {
		return !slices.ContainsFunc(load.callers, func(c *caller) bool { return !c.made(since, such) })
	}
}

// somebody is: a caller made such a call.
func somebody(such kind) condition {
	return func(load *traffic, since time.Time) bool {
		return slices.ContainsFunc(load.callers, func(c *caller) bool { return c.made(since, such) })
	}
}

// exceeded is: some window held more than the limit.
func exceeded(limit slidingwindow.Limit) condition {
	return func(load *traffic, _ time.Time) bool { return overAdmitted(load.admitted(), limit) > 0 }
}

// A kind of call since some time. A call that was under way then can be told of a fault that
// came then, but what it was decided is no evidence of what came.
type kind func(r *record, since time.Time) bool

func failed(r *record, since time.Time) bool  { return r.err != nil && !r.end.Before(since) }
func served(r *record, since time.Time) bool  { return r.err == nil && !r.start.Before(since) }
func decided(r *record, since time.Time) bool { return served(r, since) && !r.cached } // by Redis

// failedBy is a call whose error has that cause; see [cause].
func failedBy(name string) kind {
	return func(r *record, since time.Time) bool { return failed(r, since) && cause(r.err) == name }
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

func (c *caller) run(ctx context.Context, calling *sync.RWMutex) {
	const short = time.Millisecond // some hundred thousand records are enough
	pause := short
	for ctx.Err() == nil {
		key := "hot-" + strconv.Itoa(rand.IntN(hotKeys))
		if rand.IntN(2) == 0 {
			key = "cold-" + strconv.Itoa(rand.IntN(coldKeys))
		}
		calling.RLock()
		r := record{start: time.Now()}
		// Not with ctx: its end is the end of the test, and no fault.
		d, err := c.limiter.Allow(context.Background(), key)
		r.end, r.units, r.err = time.Now(), d.Granted, err
		calling.RUnlock()
		r.cached = d.Reason == slidingwindow.ReasonCached
		if d.Granted > 0 {
			r.key = key
		}
		c.mu.Lock()
		had := cap(c.calls)
		c.calls = append(c.calls, r)
		recorded.Add(uint64(cap(c.calls)-had) * uint64(unsafe.Sizeof(r)))
		c.mu.Unlock()
		if pause *= 2; err == nil || *long {
			pause = short
		}
		time.Sleep(min(pause, time.Second/2)) // so that a slow machine gets on
	}
}

// made tells whether the caller made such a call since some time.
func (c *caller) made(since time.Time, such kind) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.calls) - 1; i >= 0 && !c.calls[i].end.Before(since); i-- {
		if such(&c.calls[i], since) {
			return true
		}
	}
	return false
}

// each visits the calls of all callers.
func (load *traffic) each(visit func(*record)) {
	for _, c := range load.callers {
		c.mu.Lock()
		for i := range c.calls {
			visit(&c.calls[i])
		}
		c.mu.Unlock()
	}
}

//go:build unix

package faults_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestHang(t *testing.T) {
	s := startServer(t)
	r := scenario{Fault: "hang (SIGSTOP)", URL: s.URL(), Inject: s.hang, Lift: s.resume}.run(t)
	assert.Positive(t, r.Errors["unavailable: timeout"])
}

func TestKill(t *testing.T) {
	for name, test := range map[string]struct {
		args    []string
		mayLose int
	}{
		// Redis then knows nothing: each key starts with an empty log, once.
		"kill -9, restart, no persistence": {nil, 1},
		"kill -9, restart, AOF always":     {[]string{"--appendonly", "yes", "--appendfsync", "always"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, test.args...)
			// Longer than Redis is away, so that it matters what it still knows.
			limit := slidingwindow.Limit{Name: "tested", Max: 20, Window: shortOrLong(time.Hour, 5*time.Second)}
			var then condition
			if test.mayLose > 0 {
				then = exceeded(limit)
			}
			r := scenario{
				Fault: name, URL: s.URL(), Limit: limit, MayLose: test.mayLose,
				Until: everybody(failedBy("refused")), Then: then,
				Inject: func() { require.NoError(t, s.Kill()) },
				Lift:   func() { require.NoError(t, s.Restart(context.Background())) },
			}.run(t)
			assert.Positive(t, r.Errors["unavailable: refused"])
			assert.Equal(t, test.mayLose > 0, r.Over > 0, "what the loss of the logs does is seen")
		})
	}
}

// loading is the error of a Redis that reads its data after a start.
func TestLoading(t *testing.T) {
	// 500 us for each key until told otherwise; and an event loop that answers meanwhile,
	// which it else does every 2 MB only.
	s := startServer(t, "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
	keys := strconv.Itoa(int(patience / (500 * time.Microsecond)))
	s.do("EVAL", "for i = 1, tonumber(ARGV[1]) do redis.call('SET', 'filler' .. i, 'of some length, to have events') end", "0", keys)
	s.do("SAVE")
	loaded := make(chan error, 1)
	r := scenario{
		Fault: "LOADING after a restart", URL: s.URL(), MayLose: 1, // all after SAVE is lost
		Until: everybody(failedBy("LOADING")),
		Inject: func() {
			require.NoError(t, s.Kill())
			go func() { loaded <- s.Restart(context.Background()) }()
		},
		Lift: func() {
			s.do("CONFIG", "SET", "key-load-delay", "0")
			require.NoError(t, <-loaded)
		},
	}.run(t)
	assert.Positive(t, r.Errors["unavailable: LOADING"])
}

func TestFlush(t *testing.T) {
	s := startServer(t)
	scenario{Fault: "FLUSHALL", URL: s.URL(), MayLose: 1, Harmless: true, Inject: func() { s.do("FLUSHALL") }}.run(t)
}

func TestScriptFlush(t *testing.T) {
	s := startServer(t)
	scenario{
		Fault: "SCRIPT FLUSH every 25 ms", URL: s.URL(), Harmless: true, Repeat: 25 * time.Millisecond,
		Inject: func() { s.do("SCRIPT", "FLUSH") },
	}.run(t)
}

func TestClientKill(t *testing.T) {
	s := startServer(t)
	r := scenario{
		Fault: "CLIENT KILL every 25 ms", URL: s.URL(), Repeat: 25 * time.Millisecond, Until: somebody(failed),
		Inject: func() { s.do("CLIENT", "KILL", "TYPE", "normal") },
	}.run(t)
	assert.Positive(t, r.Errors["unavailable: closed"]+r.Errors["unavailable: reset"])
}

func TestOutOfMemory(t *testing.T) {
	s := startServer(t, "--maxmemory-policy", "noeviction")
	r := scenario{
		Fault: "maxmemory, noeviction (OOM)", URL: s.URL(), Until: everybody(failedBy("OOM")),
		Inject: func() { s.do("CONFIG", "SET", "maxmemory", "1") },
		Lift:   func() { s.do("CONFIG", "SET", "maxmemory", "0") },
	}.run(t)
	assert.Positive(t, r.Errors["unavailable: OOM"])
	assert.Zero(t, r.Admitted)
}

func TestBusyScript(t *testing.T) {
	s := startServer(t, "--busy-reply-threshold", "20")
	other, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.Addr()}, DisableCache: true})
	require.NoError(t, err)
	defer other.Close()
	ended := make(chan error, 1)
	r := scenario{
		Fault: "BUSY with another script", URL: s.URL(), Until: everybody(failedBy("BUSY")),
		Inject: func() {
			go func() {
				ended <- other.Do(context.Background(), other.B().Eval().Script("while true do end").Numkeys(0).Build()).Error()
			}()
		},
		Lift: func() {
			s.do("SCRIPT", "KILL")
			assert.ErrorContains(t, <-ended, "killed")
		},
	}.run(t)
	assert.Positive(t, r.Errors["unavailable: BUSY"])
}

func TestMaxClients(t *testing.T) {
	s := startServer(t)
	r := scenario{
		Fault: "maxclients", URL: s.URL(),
		Inject: func() {
			s.do("CONFIG", "SET", "maxclients", "1")
			s.do("CLIENT", "KILL", "TYPE", "normal")
		},
		Lift: func() { s.do("CONFIG", "SET", "maxclients", "10000") },
	}.run(t)
	// Redis says why and hangs up; which of them the client sees first is chance.
	assert.Positive(t, r.Errors["unavailable: maxclients"]+r.Errors["unavailable: closed"]+r.Errors["unavailable: reset"])
}

// A master that was demoted, before its clients know.
func TestReadOnly(t *testing.T) {
	s := startServer(t)
	r := scenario{
		Fault: "demoted to a replica (READONLY)", URL: s.URL(), Until: everybody(failedBy("READONLY")),
		Inject: func() { s.do("REPLICAOF", "127.0.0.1", "1") },
		Lift:   func() { s.do("REPLICAOF", "NO", "ONE") },
	}.run(t)
	assert.Positive(t, r.Errors["unavailable: READONLY"])
	assert.Zero(t, r.Admitted)
}

// A Redis that evicts logs forgets them, and tells nobody: so docs/production.md asks for
// noeviction. This measures what happens else.
func TestEviction(t *testing.T) {
	s := startServer(t, "--maxmemory-policy", "allkeys-lru")
	limit := slidingwindow.Limit{Name: "tested", Max: 20, Window: shortOrLong(time.Hour, 2*time.Second)}
	r := scenario{
		Fault: "maxmemory, allkeys-lru (evicts logs)", URL: s.URL(), Limit: limit,
		MayLose: 1000, // nothing is promised
		Until:   exceeded(limit),
		Inject:  func() { s.do("CONFIG", "SET", "maxmemory", strconv.Itoa(s.info("used_memory")+64<<10)) },
		Lift:    func() { s.do("CONFIG", "SET", "maxmemory", "0") },
	}.run(t)
	assert.Positive(t, r.Over, "it forgets without a word, which nobody should build on")
}

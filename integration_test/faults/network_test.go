//go:build unix

package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// network is a way to a server that can be made bad.
type network struct {
	t     *testing.T
	proxy *toxiproxy.Proxy
}

func startNetwork(t *testing.T, to *server) *network {
	t.Helper()
	metrics := toxiproxy.NewMetricsContainer(nil)
	n := &network{t, toxiproxy.NewProxy(toxiproxy.NewServer(metrics, zerolog.Nop()), t.Name(), "127.0.0.1:0", to.Addr())}
	require.NoError(t, n.proxy.Start())
	t.Cleanup(n.proxy.Stop)
	return n
}

func (n *network) url() string { return "redis://" + n.proxy.Listen }

// poison makes the way bad, in the direction of "upstream" (to Redis) or "downstream".
func (n *network) poison(kind, direction string, attributes map[string]int) {
	n.t.Helper()
	toxic, err := json.Marshal(map[string]any{
		"name": kind + direction, "type": kind, "stream": direction, "toxicity": 1.0, "attributes": attributes,
	})
	require.NoError(n.t, err)
	_, err = n.proxy.Toxics.AddToxicJson(bytes.NewReader(toxic))
	require.NoError(n.t, err)
}

// heal makes the way good again.
func (n *network) heal() { n.proxy.Toxics.ResetToxics(context.Background()) }

func TestNetwork(t *testing.T) {
	for _, test := range []struct {
		fault, kind string
		streams     []string
		attributes  map[string]int
		fails       bool
	}{
		{"black hole, both ways", "timeout", []string{"upstream", "downstream"}, map[string]int{"timeout": 0}, true},
		{"black hole, replies only", "timeout", []string{"downstream"}, map[string]int{"timeout": 0}, true},
		{"latency of 100 ms", "latency", []string{"downstream"}, map[string]int{"latency": 100}, false},
		{"latency of 400 ms", "latency", []string{"downstream"}, map[string]int{"latency": 400}, true},
		{"connections reset", "reset_peer", []string{"downstream"}, map[string]int{"timeout": 5}, true},
		{"replies cut after 100 bytes", "limit_data", []string{"downstream"}, map[string]int{"bytes": 100}, true},
		{"bytes one by one", "slicer", []string{"downstream"}, map[string]int{"average_size": 1, "size_variation": 0, "delay": 10}, false},
		{"slow close", "slow_close", []string{"downstream"}, map[string]int{"delay": 300}, true},
	} {
		t.Run(test.fault, func(t *testing.T) {
			s := startServer(t)
			n := startNetwork(t, s)
			poison := func() {
				for _, stream := range test.streams {
					n.poison(test.kind, stream, test.attributes)
				}
			}
			fault := scenario{Fault: test.fault, URL: n.url(), Harmless: !test.fails, Inject: poison, Lift: n.heal}
			if test.kind == "slow_close" { // a connection that is made again is well
				poison()
				fault.Inject = func() { s.do("CLIENT", "KILL", "TYPE", "normal") }
				fault.Repeat, fault.Until = time.Second, somebody(failed)
			}
			fault.run(t)
		})
	}
}

// silence is for connections that are there when it comes, such as those to a machine that
// has lost its power: nothing more arrives by them, and nobody tells. New ones work.
type silence struct{}

const silenceKind = "silence"

var silent atomic.Bool // while toxics of that kind are added

func init() { toxics.Register(silenceKind, new(silence)) }

func (*silence) Pipe(stub *toxics.ToxicStub) {
	if silent.Load() {
		new(toxics.TimeoutToxic).Pipe(stub)
		return
	}
	new(toxics.NoopToxic).Pipe(stub)
}

// A ping each second finds it out, and waits a second for its answer.
func TestConnectionsThatDieWithoutAWord(t *testing.T) {
	n := startNetwork(t, startServer(t))
	scenario{
		Fault: "connections die without a word", URL: n.url(),
		Inject: func() {
			silent.Store(true)
			n.poison(silenceKind, "upstream", nil)
			n.poison(silenceKind, "downstream", nil)
		},
		Lift: func() { silent.Store(false) },
	}.run(t)
}

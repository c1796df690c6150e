package integration_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// TestConcurrentCallsAreLinearizable has callers ask about one key at the same time and
// records what each was told, and between which instants. A model checker then searches for
// an order of the calls in which a log that one goroutine keeps would have told them the same.
func TestConcurrentCallsAreLinearizable(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T) rueidis.Client{"single": configured(""), "cluster": cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := open(t)
			addr := slices.Sorted(maps.Keys(client.Nodes()))[0]
			others := []rueidis.Client{connected(t, "REDIS_URL=redis://"+addr), connected(t, "REDIS_URL=redis://"+addr)}
			for name, clients := range map[string][]rueidis.Client{
				"one store":    {client},
				"three stores": append(others, client),
			} {
				t.Run(name, func(t *testing.T) {
					for _, test := range []struct {
						window time.Duration
						max    int64
					}{
						{time.Hour, 30},             // nothing leaves
						{20 * time.Millisecond, 15}, // hits leave as others come
					} {
						tellsOf := map[string]int{}
						checked := 0
						for round := range 12 {
							limit := slidingwindow.Limit{Name: "l", Max: test.max, Window: test.window}
							history := record(t, clients, limit, fmt.Sprint(name, test.window, round))
							// A history of which too much overlapped, as on a busy machine, takes too long to check.
							switch result := porcupine.CheckOperationsTimeout(model(limit), history, toCheck); result {
							case porcupine.Ok:
								checked++
							default:
								require.Equal(t, porcupine.Unknown, result, "window %v, round %d", test.window, round)
							}
							for _, op := range history {
								tellsOf[op.Input.(call).kind+" "+op.Output.(answer).reason]++
							}
						}
						t.Log(test.window, checked, "histories checked", tellsOf)
						assert.GreaterOrEqual(t, checked, 3, "of 12 histories")
						for _, what := range []string{"take allowed", "take refused", "peek allowed", "peek refused", "refund ", "reset "} {
							assert.Positive(t, tellsOf[what], "a history without %q shows little", what)
						}
					}
				})
			}
		})
	}
}

// toCheck is how long one history is checked.
const toCheck = 5 * time.Second

type call struct {
	kind    string // take, peek, refund, reset
	units   int64  // of a take, or of the one to refund
	receipt int64  // of the take to refund
}

type answer struct {
	reason    string
	remaining int64
	reset     int64 // us
	receipt   int64 // us
}

// record returns what many callers of several stores did at the same time.
func record(t *testing.T, clients []rueidis.Client, limit slidingwindow.Limit, key string) []porcupine.Operation {
	const callers, callsOfEach = 8, 20
	var (
		wg      sync.WaitGroup
		began   = time.Now()
		start   = make(chan struct{})
		records [callers][]porcupine.Operation
	)
	limiters := make([]*slidingwindow.Limiter, len(clients))
	for i, client := range clients {
		limiters[i] = deployment{client: client, prefix: "linearizable"}.limiter(t, limit)
	}
	for caller := range callers {
		l := limiters[caller%len(limiters)]
		random := rand.New(rand.NewPCG(uint64(caller), uint64(began.UnixNano()))) //nolint:gosec // no secret
		wg.Go(func() {
			<-start
			var taken []slidingwindow.Decision
			for range callsOfEach {
				var (
					input  call
					d      slidingwindow.Decision
					err    error
					called = time.Since(began)
				)
				switch n := random.IntN(100); {
				case n < 15 && len(taken) > 0:
					last := taken[len(taken)-1]
					taken = taken[:len(taken)-1]
					input = call{kind: "refund", units: last.Granted, receipt: last.Statuses()[0].Receipt}
					err = l.Refund(t.Context(), key, last)
				case n < 18:
					input = call{kind: "reset"}
					err = l.Reset(t.Context(), key)
				case n < 30:
					input = call{kind: "peek", units: 1}
					d, err = l.Peek(t.Context(), key)
				default:
					input = call{kind: "take", units: max(1, random.Int64N(8)-3)}
					d, err = l.AllowN(t.Context(), key, input.units)
				}
				output := answer{reason: string(d.Reason), remaining: d.Remaining, reset: d.ReplenishAfter.Microseconds()}
				if d.Granted > 0 {
					taken, output.receipt = append(taken, d), d.Statuses()[0].Receipt
				}
				returned := time.Since(began)
				if !assert.NoError(t, err) {
					return
				}
				// Another store's Reset or Refund ends a cached refusal milliseconds later.
				if d.Reason != slidingwindow.ReasonCached || len(clients) == 1 {
					records[caller] = append(records[caller], porcupine.Operation{
						ClientId: caller, Input: input, Call: int64(called), Output: output, Return: int64(returned),
					})
				}
			}
		})
	}
	close(start)
	wg.Wait()
	history := slices.Concat(records[:]...)
	allowForGivingBack(history)
	return history
}

// allowForGivingBack lets a refusal from the cache be of the time before a Reset or a Refund
// that Redis has done but that has not returned yet. It reopens the key when it returns.
func allowForGivingBack(history []porcupine.Operation) {
	for i := range history {
		op := &history[i]
		if op.Output.(answer).reason != string(slidingwindow.ReasonCached) {
			continue
		}
		called := op.Call
		for _, other := range history {
			kind := other.Input.(call).kind
			if (kind == "reset" || kind == "refund") && other.Call < called && called <= other.Return {
				op.Call = min(op.Call, other.Call)
			}
		}
	}
}

// hits is the state of the model: every hit that was not given back, in the order of their
// times, and the latest time on the store's clock that a call has shown, all in us. Nobody sets
// that clock back here.
type hits struct {
	log []hit
	now int64
}

type hit struct{ at, units int64 }

func (h hits) used(limit slidingwindow.Limit, now int64) (used int64) {
	for _, hit := range h.log {
		if hit.at > now-limit.Window.Microseconds() {
			used += hit.units
		}
	}
	return used
}

// reset is how long it is until the oldest hit in the window leaves it, 0 if there is none.
func (h hits) reset(limit slidingwindow.Limit, now int64) int64 {
	for _, hit := range h.log {
		if left := hit.at + limit.Window.Microseconds() - now; left > 0 {
			return left
		}
	}
	return 0
}

// model is the log of one key.
func model(limit slidingwindow.Limit) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return hits{} },
		Step: func(state, input, output any) (bool, any) {
			return state.(hits).step(limit, input.(call), output.(answer))
		},
		Equal: func(a, b any) bool {
			return a.(hits).now == b.(hits).now && slices.Equal(a.(hits).log, b.(hits).log)
		},
	}
}

// step reports whether a call can have been told that, and what the state is then.
func (h hits) step(limit slidingwindow.Limit, asked call, told answer) (bool, hits) {
	window := limit.Window.Microseconds()
	switch {
	case asked.kind == "reset":
		return true, hits{now: h.now}
	case asked.kind == "refund":
		refunded := hit{asked.receipt, asked.units}
		return true, hits{slices.DeleteFunc(slices.Clone(h.log), func(h hit) bool { return h == refunded }), h.now}
	case told.reason == string(slidingwindow.ReasonCached):
		// It tells no time of the store's. Later than now no more is used.
		return h.used(limit, h.now)+asked.units > limit.Max, h
	}
	after := hits{log: h.log}
	if told.receipt > 0 {
		after.log = append(slices.Clone(h.log), hit{told.receipt, asked.units})
		slices.SortStableFunc(after.log, func(a, b hit) int { return int(a.at - b.at) })
	}
	// The oldest hit in the window leaves it after told.reset: that is what tells the time.
	nows := []int64{h.now} // if there is none
	for _, hit := range after.log {
		nows = append(nows, hit.at+window-told.reset)
	}
	allowed := told.reason == string(slidingwindow.ReasonAllowed)
	for _, now := range nows {
		fits := h.used(limit, now)+asked.units <= limit.Max
		if now >= h.now && fits == allowed && after.reset(limit, now) == told.reset &&
			limit.Max-after.used(limit, now) == told.remaining && (told.receipt == 0 || told.receipt >= now) {
			after.now = now
			return true, after
		}
	}
	return false, h
}

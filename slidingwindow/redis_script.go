package slidingwindow

import (
	_ "embed"
	"math"
	"slices"
	"strconv"
)

var (
	//go:embed decide.lua
	decideScript string

	//go:embed refund.lua
	refundScript string
)

// kindLetters are the letters of the kinds in decide.lua.
const kindLetters = "tpmw"

// mostJoined is the largest number of calls in one joined: decide.lua passes their entries as
// arguments to one command.
const mostJoined = 1000

// joined is one call, or several equal takes of one key with no other call of that key between
// them. decide.lua decides these together.
type joined struct {
	*call // the first
	calls []*call
}

// join makes the entries of one question to decide.lua from calls in the order of their arrival.
// It appends them to entries, which is empty.
func join(entries []joined, calls []*call) []joined {
	var last map[string]int // the last entry of each key; a call by itself needs none
	if len(calls) > 1 {
		entries = make([]joined, 0, len(calls))
		last = make(map[string]int, len(calls))
	}
	for i, c := range calls {
		if at, met := last[c.key]; met {
			if e := &entries[at]; c.kind == kindTake && len(e.calls) < mostJoined && e.asks(c) {
				e.calls = append(e.calls, c)
				continue
			}
		}
		if last != nil {
			last[c.key] = len(entries)
		}
		entries = append(entries, joined{call: c, calls: calls[i : i+1 : i+1]})
	}
	return entries
}

// asks reports whether two calls ask the same, apart from their keys.
func (c *call) asks(other *call) bool {
	return c.kind == other.kind && c.cost == other.cost && c.ahead == other.ahead && slices.Equal(c.costs, other.costs) && sameLimits(c.limits, other.limits)
}

// sameLimits reports whether two calls have the same limits; those of one Limiter are one slice.
func sameLimits(a, b []Limit) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// questionOf returns the KEYS and ARGV of decide.lua.
func questionOf(prefix string, entries []joined) question {
	logs := 0
	for i := range entries {
		logs += len(entries[i].limits)
	}
	keys := make([]string, 0, logs)
	args := make([]string, 0, 1) // calls of one Limiter are alike
	for i := 0; i < len(entries); {
		run := &entries[i]
		end := i + 1
		for end < len(entries) && entries[end].isLike(run) {
			end++
		}
		args = append(args, run.text(end-i))
		for ; i < end; i++ {
			keys = appendKeys(keys, prefix, entries[i].key, entries[i].limits)
		}
	}
	return question{keys, args}
}

// text returns the argument of decide.lua for this many calls like this one.
func (e *joined) text(calls int) string {
	var few [128]byte // spares an allocation
	b := appendNumber(append(few[:0], kindLetters[e.kind]), e.ahead.Microseconds(), 7)
	b = appendNumber(b, int64(calls), 4)
	b = appendNumber(b, e.times(), 4)
	b = appendNumber(b, int64(len(e.limits)), 1)
	for i := range e.limits {
		b = appendNumber(b, e.limits[i].Max, 7)
		b = appendNumber(b, e.limits[i].Window.Microseconds(), 7)
		b = appendNumber(b, e.costOf(i), 7)
		b = appendNumber(b, max(1, e.limits[i].Resolution.Microseconds()), 7)
	}
	return string(b)
}

// times returns how often decide.lua takes the cost.
func (e *joined) times() int64 {
	if e.kind == kindAtMost {
		return min(e.cost, math.MaxUint32) // in 4 bytes
	}
	return int64(len(e.calls))
}

// appendNumber appends the last bytes of n, big endian.
func appendNumber(b []byte, n int64, bytes int) []byte {
	for shift := 8 * (bytes - 1); shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

func (e *joined) isLike(other *joined) bool {
	return len(e.calls) == len(other.calls) && e.asks(other.call)
}

func appendKeys(keys []string, prefix, key string, limits []Limit) []string {
	escaped := escapeKey(key)
	for i := range limits {
		keys = append(keys, redisKey(prefix, escaped, limits[i].Name))
	}
	return keys
}

// settlement returns the KEYS and ARGV of refund.lua, and whether they may be sent twice.
func settlement(prefix, key string, d *Decision, units []int64) (q question, again bool) {
	escaped, again := escapeKey(key), d.Delay == 0
	for i, status := range d.Statuses() {
		var anew int64
		if units != nil {
			anew = units[i]
		}
		if status.Receipt == 0 || anew == status.Granted {
			continue
		}
		shared := "0"
		if status.Limit.Resolution > 0 {
			shared, again = "1", false
		}
		q.keys = append(q.keys, redisKey(prefix, escaped, status.Limit.Name))
		q.args = append(q.args, strconv.FormatInt(status.Receipt, 10), strconv.FormatInt(status.Granted, 10), strconv.FormatInt(anew, 10), shared)
	}
	return q, again
}

package slidingwindow

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

var (
	//go:embed decide.lua
	decideScript string

	//go:embed refund.lua
	refundScript string
)

// The kinds of calls that decide.lua is asked for. It knows more.
const (
	kindTake byte = 't'
	kindPeek byte = 'p'
)

// mostJoined is how many calls decide.lua takes as one that is made several times: their
// entries are the arguments of one command in Lua.
const mostJoined = 1000

// joined is a call, or several that are alike and follow each other: decide.lua decides
// these at once.
type joined struct {
	key    string
	limits []Limit
	cost   int64
	calls  []*call
}

// join makes the entries of one question to decide.lua of calls in the order of their
// arrival. It appends them to entries, which is empty.
func join(entries []joined, calls []*call) []joined {
	var last map[string]int // the last entry of each key; a call by itself needs none
	if len(calls) > 1 {
		entries = make([]joined, 0, len(calls))
		last = make(map[string]int, len(calls))
	}
	for i, c := range calls {
		if at, met := last[c.key]; met {
			if e := &entries[at]; e.cost == c.cost && len(e.calls) < mostJoined && sameLimits(e.limits, c.limits) {
				e.calls = append(e.calls, c)
				continue
			}
		}
		if last != nil {
			last[c.key] = len(entries)
		}
		entries = append(entries, joined{key: c.key, limits: c.limits, cost: c.cost, calls: calls[i : i+1 : i+1]})
	}
	return entries
}

// sameLimits reports whether two calls have the same limits; those of one Limiter are one slice.
func sameLimits(a, b []Limit) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// question returns the KEYS and ARGV of decide.lua.
func (s *RedisStore) question(kind byte, entries []joined) (keys, args []string) {
	logs := 0
	for i := range entries {
		logs += len(entries[i].limits)
	}
	keys = make([]string, 0, logs)
	args = make([]string, 0, 16)
	for i := 0; i < len(entries); {
		run := &entries[i]
		end := i + 1
		for end < len(entries) && entries[end].isLike(run) {
			end++
		}
		args = append(args, run.text(kind, end-i))
		for ; i < end; i++ {
			keys = s.appendKeys(keys, entries[i].key, entries[i].limits)
		}
	}
	return keys, args
}

// text is what decide.lua is told of so many calls that are like this one.
func (e *joined) text(kind byte, calls int) string {
	b := make([]byte, 0, 17+21*len(e.limits))
	b = appendNumber(append(b, kind), 0, 7) // no time ahead of now
	b = appendNumber(b, int64(calls), 4)
	b = appendNumber(b, int64(len(e.calls)), 4)
	b = appendNumber(b, int64(len(e.limits)), 1)
	for i := range e.limits {
		b = appendNumber(b, e.limits[i].Max, 7)
		b = appendNumber(b, e.limits[i].Window.Microseconds(), 7)
		b = appendNumber(b, e.cost, 7)
	}
	return string(b)
}

// appendNumber appends the last bytes of n, big endian.
func appendNumber(b []byte, n int64, bytes int) []byte {
	for shift := 8 * (bytes - 1); shift >= 0; shift -= 8 {
		b = append(b, byte(n>>shift))
	}
	return b
}

func (e *joined) isLike(other *joined) bool {
	return e.cost == other.cost && len(e.calls) == len(other.calls) && sameLimits(e.limits, other.limits)
}

func (s *RedisStore) appendKeys(keys []string, key string, limits []Limit) []string {
	escaped := escapeKey(key)
	for i := range limits {
		keys = append(keys, redisKey(s.prefix, escaped, limits[i].Name))
	}
	return keys
}

// answer reads the reply of decide.lua into the calls of the entries. An error means that
// it is none; the calls are then as they were.
func answer(kind byte, entries []joined, reply []rueidis.RedisMessage) error {
	r := replyReader{rest: reply}
	now := r.int()
	answers := make([]outcome, 0, len(entries)+1)
	for i := range entries {
		answers = r.entry(answers, i, &entries[i])
	}
	if r.err == nil && len(r.rest)%4 != 0 {
		r.err = fmt.Errorf("%d values are left", len(r.rest))
	}
	late := r.rest
	for range len(late) / 4 {
		c, limit, hit, at := r.int(), r.int(), r.int(), r.int()
		if r.err == nil && (c < 0 || c >= int64(len(entries)) || hit < 0 || hit >= int64(len(entries[c].calls)) ||
			limit < 0 || limit >= int64(len(entries[c].limits)) || at < 0) {
			r.err = errUnsound
		}
	}
	if r.err != nil {
		return fmt.Errorf("%w: %w", errNotOurAnswer, r.err)
	}
	for i := range answers {
		answers[i].tell(kind, &entries[answers[i].entry], now)
	}
	for r.rest = late; len(r.rest) > 0; {
		c, limit, hit, at := r.int(), r.int(), r.int(), r.int()
		entries[c].calls[hit].decision.setReceipt(int(limit), at)
	}
	return nil
}

// outcome is the part of a reply that is about some calls of an entry: those that were
// allowed together, or all that are left.
type outcome struct {
	entry   int
	first   int64 // how many of the entry's calls come before
	calls   []*call
	granted int64 // 0 if they were refused
	err     error
	values  []rueidis.RedisMessage // used and reset of each limit, then retry if they were refused
}

// callError is the error that Redis gave to the script for one call.
type callError string

func (e callError) Error() string { return string(e) }

type replyReader struct {
	rest []rueidis.RedisMessage
	err  error
}

func (r *replyReader) int() int64 {
	values := r.take(1)
	if r.err != nil {
		return 0
	}
	n, err := values[0].AsInt64()
	if err != nil {
		r.err = err
	}
	return n
}

func (r *replyReader) take(n int) []rueidis.RedisMessage {
	if r.err != nil || len(r.rest) < n {
		r.err = errors.Join(r.err, errShortReply)
		return nil
	}
	values := r.rest[:n]
	r.rest = r.rest[n:]
	return values
}

var (
	errNotOurAnswer = fmt.Errorf("%w: redis answered what decide.lua does not", ErrStoreUnavailable)

	errNoError    = errors.New("a failure without an error")
	errShortReply = errors.New("it is too short")
	errUnsound    = errors.New("its numbers do not fit together")
)

// entry appends what the reply says of the calls of an entry.
func (r *replyReader) entry(answers []outcome, index int, e *joined) []outcome {
	for calls := e.calls; r.err == nil && len(calls) > 0; {
		o := outcome{entry: index, first: int64(len(e.calls) - len(calls)), calls: calls, granted: r.int()}
		switch {
		case o.granted < 0:
			// It comes as an error, not as its text: the connection, too, has to tell what the
			// server refuses from what it stores.
			if why := r.take(1); r.err == nil {
				if refused, ok := rueidis.IsRedisErr(why[0].Error()); ok {
					o.err = callError(refused.Error())
				} else {
					r.err = errNoError
				}
			}
		case o.granted == 0:
			o.values = r.take(3 * len(e.limits))
		case o.granted <= int64(len(calls)):
			o.calls = calls[:o.granted]
			o.values = r.take(2 * len(e.limits))
		default:
			r.err = errUnsound
		}
		if r.err == nil && o.err == nil && !o.isSound(len(e.limits)) {
			r.err = errUnsound
		}
		calls = calls[len(o.calls):]
		answers = append(answers, o)
	}
	return answers
}

// isSound reports whether decide.lua can have answered that. A refusal that names no wait
// would else pass for leave to go on.
func (o *outcome) isSound(limits int) bool {
	const longest = math.MaxInt64 / int64(time.Microsecond)
	waits := false
	for i := range o.values {
		n, err := o.values[i].AsInt64()
		if err != nil || n < 0 || n > longest {
			return false
		}
		waits = waits || n > 0 && i >= 2*limits
	}
	return waits == (o.granted == 0)
}

// tell gives each call its decision.
func (o *outcome) tell(kind byte, e *joined, now int64) {
	for i, c := range o.calls {
		if o.err != nil {
			c.err = redisFailure(o.err)
			continue
		}
		c.decision = o.decision(kind, e, int64(i), now)
	}
}

// decision is that of the i-th of its calls.
func (o *outcome) decision(kind byte, e *joined, i, now int64) Decision {
	granted := int64(0)
	if o.granted > 0 && kind != kindPeek {
		granted = e.cost
	}
	if len(e.limits) == 1 { // allocates nothing
		return NewDecision(granted, o.status(e, 0, i, granted, now))
	}
	statuses := make([]Status, len(e.limits))
	for limit := range statuses {
		statuses[limit] = o.status(e, limit, i, granted, now)
	}
	return NewDecision(granted, statuses...)
}

func (o *outcome) status(e *joined, limit int, i, granted, now int64) Status {
	value := func(at int) int64 {
		n, _ := o.values[at].AsInt64()
		return n
	}
	status := Status{Limit: e.limits[limit], ResetAfter: time.Duration(value(2*limit+1)) * time.Microsecond}
	used := value(2 * limit)
	if o.granted > 0 {
		used = max(0, used-(o.granted-1-i)*granted) // without the calls after this one
	} else {
		status.RetryAfter = time.Duration(value(2*len(e.limits)+limit)) * time.Microsecond
	}
	status.Remaining = max(0, status.Limit.Max-used)
	if granted > 0 {
		status.Receipt = now + o.first + i // unless the reply names another time
	}
	return status
}

// entryMember is the member of a log's entry; its time is the call's receipt.
func entryMember(at, units int64) string {
	member := binary.BigEndian.AppendUint64(nil, uint64(at))[1:] //nolint:gosec // it is not negative
	if units > 1 {
		member = strconv.AppendInt(member, units, 10)
	}
	return string(member)
}

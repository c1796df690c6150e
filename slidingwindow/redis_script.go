package slidingwindow

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

var (
	//go:embed decide.lua
	decideScript string

	//go:embed refund.lua
	refundScript string
)

const (
	modeTake = "take"
	modePeek = "peek"
)

// joined is a call, or several that are alike and follow each other: decide.lua decides
// these at once.
type joined struct {
	key   string
	plan  *plan
	cost  int64
	calls []*call
}

// call is one Take on its way through a batch.
type call struct {
	key  string
	plan *plan
	cost int64

	decision Decision
	err      error
	turns    chan turn // has room for one

	leading, left bool // as the group's lock guards

	patience *time.Timer // of its caller
}

var callPool = sync.Pool{New: func() any { return &call{turns: make(chan turn, 1), patience: stoppedTimer()} }}

// stoppedTimer is for one that is used again and again, by Reset and Stop.
func stoppedTimer() *time.Timer {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return timer
}

func newCall(req Request) *call {
	c := callPool.Get().(*call)
	c.key, c.plan, c.cost = req.Key, req.planned(), req.Cost
	return c
}

// finish tells the caller that the call is decided. It must be the last that is done with it.
func (c *call) finish() { c.turns <- decided }

// result is what the caller of a decided call gets. The call is used again after it.
func (c *call) result(ctx context.Context) (Decision, error) {
	d, err := c.decision, c.err
	c.key, c.plan, c.decision, c.err = "", nil, Decision{}, nil
	callPool.Put(c)
	if err != nil && hasEnded(ctx) { // the first thing to tell the caller
		return Decision{}, ContextEnded(ctx)
	}
	return d, err
}

// join makes the entries of one question to decide.lua of calls in the order of their
// arrival.
func join(calls ...*call) []joined {
	entries := make([]joined, 0, len(calls))
	var last map[string]int // the last entry of each key; a call by itself needs none
	if len(calls) > 1 {
		last = make(map[string]int, len(calls))
	}
	for i, c := range calls {
		if at, met := last[c.key]; met {
			if e := &entries[at]; e.plan == c.plan && e.cost == c.cost {
				e.calls = append(e.calls, c)
				continue
			}
		}
		if last != nil {
			last[c.key] = len(entries)
		}
		entries = append(entries, joined{key: c.key, plan: c.plan, cost: c.cost, calls: calls[i : i+1 : i+1]})
	}
	return entries
}

// question returns the KEYS and ARGV of decide.lua.
func (s *RedisStore) question(mode string, entries []joined) (keys, args []string) {
	logs := 0
	for i := range entries {
		logs += len(entries[i].plan.limits)
	}
	keys = make([]string, 0, logs)
	args = append(make([]string, 0, 16), mode)
	for i := 0; i < len(entries); {
		run := &entries[i]
		end := i + 1
		for end < len(entries) && entries[end].isLike(run) {
			end++
		}
		args = append(args, strconv.Itoa(end-i), strconv.Itoa(len(run.calls)), strconv.FormatInt(run.cost, 10), strconv.Itoa(len(run.plan.limits)))
		args = append(args, run.plan.args...)
		for ; i < end; i++ {
			keys = s.appendKeys(keys, entries[i].key, entries[i].plan.limits)
		}
	}
	return keys, args
}

func (e *joined) isLike(other *joined) bool {
	return e.plan == other.plan && e.cost == other.cost && len(e.calls) == len(other.calls)
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
func answer(mode string, entries []joined, reply []rueidis.RedisMessage) error {
	r := replyReader{rest: reply}
	now := r.int()
	answers := make([]joinedAnswer, len(entries))
	for i := range entries {
		answers[i] = r.joined(&entries[i])
	}
	if r.err != nil || len(r.rest)%5 != 0 {
		return fmt.Errorf("%w: %w", errNotOurAnswer, errors.Join(r.err, fmt.Errorf("%d values are left", len(r.rest))))
	}
	for i := range entries {
		answers[i].tell(mode, &entries[i], now)
	}
	for len(r.rest) > 0 {
		c, limit, hit, at, number := r.int(), r.int(), r.int(), r.int(), r.int()
		if r.err != nil || c < 0 || c >= int64(len(entries)) || hit < 0 || hit >= int64(len(entries[c].calls)) ||
			limit < 0 || limit >= int64(len(entries[c].plan.limits)) || number < 0 || number >= receiptNumbers {
			return errNotOurAnswer
		}
		entries[c].calls[hit].decision.setReceipt(int(limit), newReceipt(at, number))
	}
	return nil
}

// joinedAnswer is the part of a reply that is about one entry.
type joinedAnswer struct {
	granted int64 // of its calls
	err     error
	values  []rueidis.RedisMessage // used and reset of each limit, then retry if one was refused
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

	errShortReply = errors.New("it is too short")
	errUnsound    = errors.New("its numbers do not fit together")
)

func (r *replyReader) joined(e *joined) joinedAnswer {
	granted := r.int()
	if granted < 0 {
		text := r.take(1)
		if r.err != nil {
			return joinedAnswer{}
		}
		message, err := text[0].ToString()
		if err != nil {
			r.err = err
		}
		return joinedAnswer{err: callError(message)}
	}
	n := 2 * len(e.plan.limits)
	if granted < int64(len(e.calls)) {
		n += len(e.plan.limits)
	}
	a := joinedAnswer{granted: granted, values: r.take(n)}
	if r.err == nil && !a.isSound(e) {
		r.err = errUnsound
	}
	return a
}

// isSound tells whether decide.lua can have answered that. A refusal that names no wait
// would else pass for leave to go on.
func (a *joinedAnswer) isSound(e *joined) bool {
	const longest = math.MaxInt64 / int64(time.Microsecond)
	waits := false
	for i := range a.values {
		n, err := a.values[i].AsInt64()
		if err != nil || n < 0 || n > longest {
			return false
		}
		waits = waits || n > 0 && i >= 2*len(e.plan.limits)
	}
	return a.granted == int64(len(e.calls)) || a.granted < int64(len(e.calls)) && waits
}

// tell gives each call its decision.
func (a *joinedAnswer) tell(mode string, e *joined, now int64) {
	for i, c := range e.calls {
		if a.err != nil {
			c.err = redisFailure(a.err)
			continue
		}
		c.decision = a.decision(mode, e, int64(i), now)
	}
}

// decision is that of the i-th call of the entry.
func (a *joinedAnswer) decision(mode string, e *joined, i, now int64) Decision {
	allowed := i < a.granted
	granted := int64(0)
	if allowed && mode == modeTake {
		granted = e.cost
	}
	if len(e.plan.limits) == 1 { // allocates nothing
		return NewDecision(granted, a.status(e, 0, i, granted, now))
	}
	statuses := make([]Status, len(e.plan.limits))
	for limit := range statuses {
		statuses[limit] = a.status(e, limit, i, granted, now)
	}
	return NewDecision(granted, statuses...)
}

func (a *joinedAnswer) status(e *joined, limit int, i, granted, now int64) Status {
	value := func(at int) int64 {
		n, _ := a.values[at].AsInt64()
		return n
	}
	status := Status{Limit: e.plan.limits[limit], ResetAfter: time.Duration(value(2*limit+1)) * time.Microsecond}
	used := value(2 * limit)
	if i < a.granted {
		used = max(0, used-(a.granted-1-i)*granted) // without the calls after this one
	} else {
		status.RetryAfter = time.Duration(value(2*len(e.plan.limits)+limit)) * time.Microsecond
	}
	status.Remaining = max(0, status.Limit.Max-used)
	if granted > 0 {
		status.Receipt = newReceipt(now, i)
	}
	return status
}

// A receipt of this store is the time of a log's entry (us since receiptEpoch) and its
// number in that microsecond, of which there are receiptNumbers.
const (
	receiptEpoch   = 1_577_836_800_000_000 // 2020, for the receipts to fit
	receiptNumbers = 4096
)

func newReceipt(at, number int64) int64 { return (at-receiptEpoch)*receiptNumbers + number }

// logEntry is the score and the member of the entry that decide.lua made for a call.
func logEntry(receipt, units int64) (score, member string) {
	number := receipt & (receiptNumbers - 1)
	at := (receipt-number)/receiptNumbers + receiptEpoch
	id := binary.BigEndian.AppendUint64(nil, uint64(at))[2:] //nolint:gosec // it is not negative
	if number > 0 {
		id = binary.BigEndian.AppendUint16(id, uint16(1<<15|number)) //nolint:gosec // it is less than receiptNumbers
	}
	if units > 1 {
		id = strconv.AppendInt(append(id, 'x'), units, 10)
	}
	return strconv.FormatInt(at, 10), string(id)
}

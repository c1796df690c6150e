package slidingwindow

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/redis/rueidis"
)

// answer reads the reply of decide.lua into the calls of the entries. An error means that it is
// no such reply. The calls are then unchanged.
func answer(entries []joined, reply []rueidis.RedisMessage) error {
	r := replyReader{rest: reply}
	now := r.int()
	var one [1]outcome // spares an allocation for a lone call
	answers := slices.Grow(one[:0], len(entries))
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
			limit < 0 || limit >= int64(len(entries[c].limits)) || at < now || at-now > longestWait) {
			r.err = errUnsound
		}
	}
	if r.err != nil {
		return fmt.Errorf("%w: %w", errNotOurAnswer, r.err)
	}
	for i := range answers {
		answers[i].tell(&entries[answers[i].entry], now)
	}
	for r.rest = late; len(r.rest) > 0; {
		c, limit, hit, at := r.int(), r.int(), r.int(), r.int()
		d := &entries[c].calls[hit].decision
		d.setReceipt(int(limit), entries[c].limits[limit].entryTime(at))
		if entries[c].kind == kindWait {
			d.Delay = max(d.Delay, time.Duration(at-now)*time.Microsecond)
		}
	}
	return nil
}

// entryTime returns the time (us) of the entry that holds a hit of this time, as in decide.lua.
func (l *Limit) entryTime(at int64) int64 {
	if share := l.Resolution.Microseconds(); share > 1 {
		at += share - 1
		at -= at % share
	}
	return at
}

// outcome is the part of a reply about some calls of an entry: the calls that were allowed
// together, or all calls that are left.
type outcome struct {
	entry   int
	first   int64 // how many of the entry's calls come before
	calls   []*call
	granted int64 // 0 if they were refused
	err     error
	values  []rueidis.RedisMessage // used and reset of each limit, then retry if they were refused
}

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
			// The script returns an error and not its text: the connection, too, must tell an error
			// of the server from stored text.
			if why := r.take(1); r.err == nil {
				if refused, ok := rueidis.IsRedisErr(why[0].Error()); ok {
					o.err = refused
				} else {
					r.err = errNoError
				}
			}
		case o.granted == 0:
			o.values = r.take(3 * len(e.limits))
		case o.granted <= e.times()-o.first:
			o.calls = calls[:min(o.granted, int64(len(calls)))]
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

// longestWait is the longest time in us that a Duration holds.
const longestWait = math.MaxInt64 / int64(time.Microsecond)

// isSound reports whether decide.lua can have given this answer. Without this check a refusal
// without a wait would pass as allowed.
func (o *outcome) isSound(limits int) bool {
	waits := false
	for i := range o.values {
		n, err := o.values[i].AsInt64()
		if err != nil || n < 0 || n > longestWait {
			return false
		}
		waits = waits || n > 0 && i >= 2*limits
	}
	return waits == (o.granted == 0)
}

// tell gives each call its decision.
func (o *outcome) tell(e *joined, now int64) {
	for i, c := range o.calls {
		if o.err != nil {
			c.err = redisFailure(o.err)
			continue
		}
		c.decision = o.decision(e, int64(i), now)
	}
}

// decision returns the decision of the i-th call of the outcome.
func (o *outcome) decision(e *joined, i, now int64) Decision {
	var few [4]Status // spares an allocation
	statuses := few[:0]
	for limit := range e.limits {
		statuses = append(statuses, o.status(e, limit, i, now))
	}
	return NewDecision(0, statuses...)
}

func (o *outcome) status(e *joined, limit int, i, now int64) Status {
	value := func(at int) int64 {
		n, _ := o.values[at].AsInt64()
		return n
	}
	status := Status{Limit: e.limits[limit], ReplenishAfter: time.Duration(value(2*limit+1)) * time.Microsecond}
	used := value(2 * limit)
	switch {
	case o.granted == 0:
		status.RetryAfter = time.Duration(value(2*len(e.limits)+limit)) * time.Microsecond
	case e.kind == kindAtMost:
		status.Granted = o.granted
	case e.kind != kindPeek:
		status.Granted = e.costOf(limit)
		used = max(0, used-(o.granted-1-i)*status.Granted) // without the calls after this one
	}
	status.Remaining = max(0, status.Limit.Max-used)
	if status.Granted > 0 {
		status.Receipt = now + o.first + i // unless the reply names another time
		if status.Limit.Resolution > 0 {
			status.Receipt = status.Limit.entryTime(now)
		}
	}
	return status
}

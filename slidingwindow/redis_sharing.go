package slidingwindow

import (
	"context"
	"crypto/rand"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

const (
	// trialLimit is longer than the name of a limit may be, so a trial never touches the log of
	// a user's key. It explains itself to whoever finds it in Redis.
	trialLimit = "a-trial-that-proves-that-decisions-can-be-made-and-expires-in-seconds-"

	// A log of a trial that cannot be removed expires after twice this time.
	trialWindow = 5 * time.Second

	// A trial sends this many keys in one command. Behind a proxy of two servers they are all on
	// one server by chance once in 2^63 trials, or once in 800 if it has 90% of all keys.
	trialKeys = 64

	// A trial sends this many limits of one key in one command.
	trialLogs = 16

	// An error makes the store find out whether several keys may share a command, at most this often.
	tryKeysEvery = time.Second
)

// learnSharing finds out, once, whether several keys may share a command. It does not ask for the
// server's run_id: that needs a right of its own, and only shows that there are two servers. A
// trial shows where a command counts its keys. The logs of one key must be on one server:
// otherwise they cannot be decided together.
func (l *link) learnSharing(ctx context.Context, addr string) error {
	if l.sharing.known.Load() {
		return nil
	}
	apart, err := twice(func() (bool, error) { return l.areLogsApart(ctx) })
	if err == nil && apart {
		return newSetupError(addr, "keys with the same hash tag, the part in braces, are on different servers; "+
			"let the proxy send keys to servers by their hash tags (twemproxy: hash_tag \"{}\", Envoy: enable_hashtagging: true)")
	}
	if err == nil {
		apart, err = twice(func() (bool, error) { return l.areKeysApart(ctx) })
	}
	if err != nil {
		if v := l.verdictOf(ctx, addr, err); v.err != nil {
			err = v.err
		}
		return err
	}
	if apart {
		l.sharing.oneKey.Store(true)
	}
	l.sharing.known.Store(true)
	return nil
}

// twice reports whether find succeeds twice in a row. Once is not enough: a failover during a
// trial can lose what it took.
func twice(find func() (bool, error)) (found bool, err error) {
	for range 2 {
		if found, err = find(); !found || err != nil {
			return false, err
		}
	}
	return true, nil
}

func newTrialKey() string { return "trial-" + rand.Text() }

// trialLimits returns limits that allow one unit each.
func trialLimits(n int) []Limit {
	limits := make([]Limit, n)
	for i := range limits {
		limits[i] = Limit{Name: trialLimit + strconv.Itoa(i), Max: 1, Window: trialWindow}
	}
	return limits
}

func trialCall(key string, limits []Limit) *call {
	return &call{key: key, limits: limits, cost: 1}
}

// areLogsApart reports whether the logs of one key are on several servers.
func (l *link) areLogsApart(ctx context.Context) (bool, error) {
	key, limits := newTrialKey(), trialLimits(trialLogs)
	logs := make([]*call, len(limits))
	for i := range logs {
		logs[i] = trialCall(key, limits[i:i+1])
	}
	return l.areApart(ctx, []*call{trialCall(key, limits)}, logs)
}

// areKeysApart reports whether keys are on several servers.
func (l *link) areKeysApart(ctx context.Context) (bool, error) {
	limits := trialLimits(1)
	together, alone := make([]*call, trialKeys), make([]*call, trialKeys)
	for i := range together {
		key := newTrialKey()
		together[i], alone[i] = trialCall(key, limits), trialCall(key, limits)
	}
	return l.areApart(ctx, together, alone)
}

// areApart takes the one unit of each log in one command, and then tries to take it again in a
// command for each log. The logs are apart if one of these is allowed, or if the server refused
// the common command and none of the others.
func (l *link) areApart(ctx context.Context, together, alone []*call) (bool, error) {
	defer l.removeTrials(ctx, alone)
	began := time.Now()
	err := l.askOnTrial(ctx, together)
	refused := isRefusal(err)
	if err != nil && !refused {
		return false, err
	}
	each := make([][]*call, len(alone))
	for i := range alone {
		each[i] = alone[i : i+1]
	}
	if err := l.askOnTrial(ctx, each...); err != nil || refused {
		return refused && err == nil, err
	}
	if time.Since(began) >= trialWindow {
		return false, nil // what was taken may have left the window
	}
	for _, c := range alone {
		if c.decision.Allowed {
			return true, nil
		}
	}
	return false, nil
}

// askOnTrial decides calls, each list in one command.
func (l *link) askOnTrial(ctx context.Context, lists ...[]*call) error {
	batches := make([]*batch, len(lists))
	for i := range lists {
		batches[i] = &batch{calls: lists[i]}
	}
	return l.bounded(ctx, func(ctx context.Context, pooled bool) error {
		l.ask(ctx, l.client, pooled, l.take, batches)
		for _, b := range batches {
			if b.err != nil {
				return b.err
			}
			for _, c := range b.calls {
				if c.err != nil {
					return c.err
				}
			}
		}
		return nil
	})
}

// removeTrials removes what trials left, one log a command. What it cannot remove expires.
func (l *link) removeTrials(ctx context.Context, calls []*call) {
	_ = l.bounded(ctx, func(ctx context.Context, pooled bool) error {
		commands := make(rueidis.Commands, len(calls))
		for i, c := range calls {
			keys := appendKeys(nil, l.prefix, c.key, c.limits)
			commands[i] = build(l.client.B().Arbitrary("UNLINK").Keys(keys...), pooled, true)
		}
		l.client.DoMulti(ctx, commands...)
		return nil
	})
}

// isRefusal reports whether a server, or a proxy in front of it, refused a command, perhaps for its
// keys: no other reason is known.
func isRefusal(err error) bool {
	reply, isReply := replyOf(err)
	if !isReply {
		return false
	}
	_, known := adviceOn(reply)
	return !known && !isDenied(reply)
}

// apart reports whether calls of this many keys, whose common command failed with err, must be
// decided again with a command for each key. None of them was counted then.
//
// Each proxy has its own words to refuse several keys. So the store finds out with trial keys, at
// most once a second, and not with the keys of the calls. The calls may have been counted although
// the proxy answered with an error, and would be counted twice.
func (l *link) apart(ctx context.Context, err error, keys int) bool {
	switch {
	case keys < 2:
		return false
	case isCrossSlot(err):
		l.sharing.oneKey.Store(true)
		return true
	case !isRefusal(err) || l.slots != nil:
		return false
	}
	l.sharing.mu.Lock()
	defer l.sharing.mu.Unlock()
	if l.sharing.oneKey.Load() {
		return true // another batch has just found out
	}
	if time.Since(l.sharing.tried) < tryKeysEvery {
		return false
	}
	l.sharing.tried = time.Now()
	apart, err := l.areKeysApart(ctx)
	if err != nil || !apart {
		return false
	}
	l.sharing.oneKey.Store(true)
	return true
}

func countKeys(calls []*call) int {
	keys := make(map[string]struct{}, len(calls))
	for _, c := range calls {
		keys[c.key] = struct{}{}
	}
	return len(keys)
}

// eachIfRefused sends one command for several logs or, if that fails, one for each log: the server
// refuses several logs while a slot is moved, and a proxy may accept only one key per command. The
// client may repeat only a command for one log: while a slot is moved, it would repeat one for
// several until the deadline. If again is false, a command for each log is sent only if the common
// one was refused. eachIfRefused returns the first error.
func eachIfRefused(logs int, again bool, do func(from, to int, again bool) error) error {
	if logs == 1 {
		return do(0, 1, again)
	}
	err := do(0, logs, false)
	if _, refused := replyOf(err); err == nil || !refused && !again {
		return err
	}
	err = nil
	for i := range logs {
		if failed := do(i, i+1, again); err == nil {
			err = failed
		}
	}
	return err
}

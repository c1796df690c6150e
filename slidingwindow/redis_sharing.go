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
	// a user's key. It tells whoever finds it in Redis what it is.
	trialLimit = "a-trial-that-proves-that-decisions-can-be-made-and-expires-in-seconds-"

	// A log of a trial lives for twice as long, if it cannot be removed.
	trialWindow = 5 * time.Second

	// So many keys share a command on trial. A proxy before two servers has all of them on one of
	// these, by chance, once in 2^63 times; if that one has 90% of all keys, once in 800 times.
	trialKeys = 64

	// So many limits of one key do.
	trialLogs = 16

	// How often an error makes the store find out whether several keys may share a command.
	tryKeysEvery = time.Second
)

// learnSharing finds out, once, whether several keys may share a command. It does not ask for the
// server's run_id, because that takes a right of its own and says only that there are two
// servers: here the keys themselves tell where a command counts. Several limits of one key
// must be in one place: else they cannot be decided together.
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

// twice tells whether something is found twice in a row: a failover in between can lose what a
// trial took.
func twice(find func() (bool, error)) (found bool, err error) {
	for range 2 {
		if found, err = find(); !found || err != nil {
			return false, err
		}
	}
	return true, nil
}

func newTrialKey() string { return "trial-" + rand.Text() }

// trialLimits are limits that nothing was taken from yet. Each allows one unit.
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

// areLogsApart tells whether the logs of one key are in several places.
func (l *link) areLogsApart(ctx context.Context) (bool, error) {
	key, limits := newTrialKey(), trialLimits(trialLogs)
	logs := make([]*call, len(limits))
	for i := range logs {
		logs[i] = trialCall(key, limits[i:i+1])
	}
	return l.areApart(ctx, []*call{trialCall(key, limits)}, logs)
}

// areKeysApart tells whether keys are in several places.
func (l *link) areKeysApart(ctx context.Context) (bool, error) {
	limits := trialLimits(1)
	together, alone := make([]*call, trialKeys), make([]*call, trialKeys)
	for i := range together {
		key := newTrialKey()
		together[i], alone[i] = trialCall(key, limits), trialCall(key, limits)
	}
	return l.areApart(ctx, together, alone)
}

// areApart takes what there is of each key in one command, and then looks for it by a command
// for each log. The logs are apart if it is not there, or if the server refused the command
// of several, but none of one.
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

// askOnTrial decides calls, those of each list in one command.
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

// isRefusal tells whether a server, or a proxy before it, refused a command for a reason that
// is not known to be another than its keys.
func isRefusal(err error) bool {
	reply, isReply := replyOf(err)
	if !isReply {
		return false
	}
	_, known := adviceOn(reply)
	return !known && !isDenied(reply)
}

// apart tells whether calls of that many keys, whose common command failed with err, are to be
// decided once more, the calls of each key by themselves; nothing of them was counted then.
//
// Proxies refuse several keys in words of their own. Whether they do is found out on keys on
// trial, at most once a second, rather than on the keys of the calls: these may have been
// counted although the proxy answered with an error, and would be counted twice.
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

// eachIfRefused does something with several logs in one command or, if that fails, in a command
// for each: the server refuses several while a slot is moved, and a proxy may take one key a
// command. A client that may ask again would do so until the deadline while a slot is moved, so it
// may only for one log. What must not be done twice is done for each only if all were refused. It
// returns the first error.
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

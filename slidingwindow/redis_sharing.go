package slidingwindow

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	// So many keys share a command on trial. A proxy before two servers has all of them on one of
	// these, by chance, once in 2^63 times; if that one has 90% of all keys, once in 800 times.
	trialKeys = 64

	// So many limits of one key do.
	trialLogs = 16

	// How often an error makes the store find out whether several keys may share a command.
	tryKeysEvery = time.Second
)

// sharing is what the store knows of which keys may share a command.
type sharing struct {
	// oneKey is set when a command must be for one key of a caller, with all of its limits: keys
	// are on several servers, and a proxy sends a command to one of them, or a client does
	// not know that the server is of a Cluster. It is never reset.
	oneKey atomic.Bool

	known atomic.Bool // Check has found out

	mu    sync.Mutex // held while an error makes the store find out
	tried time.Time  // when one did last
}

// learnSharing finds out, once, whether several keys may share a command. It does not ask for the
// server's run_id, because that takes a right of its own and says only that there are two
// servers: here the keys themselves tell where a command counts. Several limits of one key
// must be in one place: else they cannot be decided together.
func (s *RedisStore) learnSharing(ctx context.Context, addr string) error {
	if s.sharing.known.Load() {
		return nil
	}
	apart, err := twice(func() (bool, error) { return s.areLogsApart(ctx) })
	if err == nil && apart {
		return newSetupError(addr, "keys with the same hash tag, the part in braces, are on different servers; "+
			"let the proxy send keys to servers by their hash tags (twemproxy: hash_tag \"{}\", Envoy: enable_hashtagging: true)")
	}
	if err == nil {
		apart, err = twice(func() (bool, error) { return s.areKeysApart(ctx) })
	}
	if err != nil {
		if v := s.verdictOf(ctx, addr, err); v.err != nil {
			err = v.err
		}
		return err
	}
	if apart {
		s.sharing.oneKey.Store(true)
	}
	s.sharing.known.Store(true)
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

func trialCall(key string, limits []Limit) *call {
	return &call{key: key, limits: limits, cost: 1}
}

// areLogsApart tells whether the logs of one key are in several places.
func (s *RedisStore) areLogsApart(ctx context.Context) (bool, error) {
	key, limits := newTrialKey(), trialLimits(trialLogs)
	logs := make([]*call, len(limits))
	for i := range logs {
		logs[i] = trialCall(key, limits[i:i+1])
	}
	return s.areApart(ctx, []*call{trialCall(key, limits)}, logs)
}

// areKeysApart tells whether keys are in several places.
func (s *RedisStore) areKeysApart(ctx context.Context) (bool, error) {
	limits := trialLimits(1)
	together, alone := make([]*call, trialKeys), make([]*call, trialKeys)
	for i := range together {
		key := newTrialKey()
		together[i], alone[i] = trialCall(key, limits), trialCall(key, limits)
	}
	return s.areApart(ctx, together, alone)
}

// areApart takes what there is of each key in one command, and then looks for it by a command
// for each log. The logs are apart if it is not there, or if the server refused the command
// of several, but none of one.
func (s *RedisStore) areApart(ctx context.Context, together, alone []*call) (bool, error) {
	defer s.removeTrials(ctx, alone)
	began := time.Now()
	err := s.askOnTrial(ctx, together)
	refused := isRefusal(err)
	if err != nil && !refused {
		return false, err
	}
	each := make([][]*call, len(alone))
	for i := range alone {
		each[i] = alone[i : i+1]
	}
	if err := s.askOnTrial(ctx, each...); err != nil || refused {
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
func (s *RedisStore) askOnTrial(ctx context.Context, lists ...[]*call) error {
	batches := make([]*batch, len(lists))
	for i := range lists {
		batches[i] = &batch{calls: lists[i]}
	}
	return s.bounded(ctx, func(ctx context.Context, pooled bool) error {
		s.ask(ctx, s.client, pooled, s.take, batches)
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
func (s *RedisStore) removeTrials(ctx context.Context, calls []*call) {
	_ = s.bounded(ctx, func(ctx context.Context, pooled bool) error {
		commands := make(rueidis.Commands, len(calls))
		for i, c := range calls {
			keys := s.appendKeys(nil, c.key, c.limits)
			commands[i] = build(s.client.B().Arbitrary("UNLINK").Keys(keys...), pooled, true)
		}
		s.client.DoMulti(ctx, commands...)
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
func (s *RedisStore) apart(ctx context.Context, err error, keys int) bool {
	switch {
	case keys < 2:
		return false
	case isCrossSlot(err):
		s.sharing.oneKey.Store(true)
		return true
	case !isRefusal(err) || s.cluster:
		return false
	}
	s.sharing.mu.Lock()
	defer s.sharing.mu.Unlock()
	if s.sharing.oneKey.Load() {
		return true // another batch has just found out
	}
	if time.Since(s.sharing.tried) < tryKeysEvery {
		return false
	}
	s.sharing.tried = time.Now()
	apart, err := s.areKeysApart(ctx)
	if err != nil || !apart {
		return false
	}
	s.sharing.oneKey.Store(true)
	return true
}

func countKeys(calls []*call) int {
	keys := make(map[string]struct{}, len(calls))
	for _, c := range calls {
		keys[c.key] = struct{}{}
	}
	return len(keys)
}

// eachIfRefused does something with several logs in one command or, if the server refuses that,
// in a command for each: while a slot is moved, or behind a proxy that takes one key a command.
// It is for what may be done twice. It returns the first error.
func eachIfRefused(logs int, do func(from, to int) error) error {
	err := do(0, logs)
	if _, refused := replyOf(err); !refused || logs < 2 {
		return err
	}
	err = nil
	for i := range logs {
		if failed := do(i, i+1); err == nil {
			err = failed
		}
	}
	return err
}

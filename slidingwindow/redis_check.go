package slidingwindow

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/redis/rueidis"
)

//go:embed trial.lua
var trialScript string

const (
	// One trial key stands for this many slots of a Cluster when Check looks for nodes. A node with
	// twice as many slots in a row is always found.
	slotsOfTrial = 64

	// At most this many keys are tried of those that no node of a Cluster claims.
	maxOrphans = 8
)

// Check proves that decisions can be made, by making some. It takes, peeks, refunds and resets as
// real calls do, on a key that no caller can have. It removes that key, which otherwise expires in
// 10 seconds. It needs only the rights that the store needs. In a Cluster it checks every node that
// has slots. It makes about seven round trips: use it at start-up and for a health check, and not
// for every call. It is safe for concurrent use, and concurrent Checks do not disturb each other.
//
// Its error names the server, says what is wrong and what to do, and matches
// [ErrStoreUnavailable]. It also matches [ErrMisconfigured] if the fault does not pass by itself: a
// right that the user lacks, a Prefix that the user may not use, a replica instead of a master, a
// Sentinel's address without the name of a master, a renamed command, or a server that only
// resembles Redis. A fault that passes does not match it, such as a server that loads its data, has
// no memory left or lacks replicas. If ctx ended, the error is that of ctx.
//
// The first Check that succeeds also finds out whether several keys may share a command. A proxy
// that shards keys sends a command to the server of its first key, and the other keys would be
// counted on the wrong server. If Check finds such a proxy, the store sends one key per command
// from then on. So behind a proxy call Check before the first call.
func (s *RedisStore) Check(ctx context.Context) error {
	if s.closed.Load() {
		return errClosed
	}
	trials, err := s.trials(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(trials))
	var all sync.WaitGroup
	for i := range trials {
		all.Go(func() { errs[i] = s.try(ctx, trials[i]) })
	}
	all.Wait()
	if err := joinDistinct(errs); err != nil {
		return err
	}
	if s.slots != nil {
		return s.checkSlots(ctx)
	}
	return s.learnSharing(ctx, trials[0].addr)
}

// checkSlots reads the table of the slots now. Without it each call in a Cluster is sent by itself.
func (s *RedisStore) checkSlots(ctx context.Context) error {
	err := s.slots.ask(ctx)
	switch {
	case err == nil:
		return nil
	case hasEnded(ctx): // the first thing to tell the caller
		return ContextEnded(ctx)
	case s.verdictOf(ctx, "", err).denied:
		return lackingRights("", []string{"+cluster|slots"})
	default:
		return err
	}
}

// trial is one key to try, and the address of its server, "" if that is not known.
type trial struct{ key, addr string }

// trials returns one trial, or in a Cluster one for each node that has slots, and some for slots
// that no node claims.
func (s *RedisStore) trials(ctx context.Context) ([]trial, error) {
	nodes := s.client.Nodes()
	if s.slots == nil {
		return []trial{{newTrialKey(), strings.Join(slices.Sorted(maps.Keys(nodes)), ", ")}}, nil
	}
	keys := s.trialKeysOfCluster()
	owners := make([]string, len(keys))
	var mu sync.Mutex
	err := s.await(ctx, s.deadline(ctx), func(ctx context.Context) error {
		var all sync.WaitGroup
		for addr, node := range nodes {
			all.Go(func() {
				commands := make(rueidis.Commands, len(keys))
				for i, key := range keys {
					// Not the builder's ZCARD, which would be tried again while the node is away.
					commands[i] = node.B().Arbitrary("ZCARD").Keys(redisKey(s.prefix, key, trialLimit)).Build()
				}
				for i, reply := range node.DoMulti(ctx, commands...) {
					if reply.Error() == nil { // for a key of another node it is MOVED
						mu.Lock()
						owners[i] = addr
						mu.Unlock()
					}
				}
			})
		}
		all.Wait()
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	mu.Lock() // a goroutine may still wait for a node that hangs
	defer mu.Unlock()
	byOwner := map[string]string{}
	var orphans, trials []trial
	for i, key := range keys {
		if owners[i] == "" {
			orphans = append(orphans, trial{key: key})
		}
		byOwner[owners[i]] = key
	}
	delete(byOwner, "")
	for _, addr := range slices.Sorted(maps.Keys(byOwner)) {
		trials = append(trials, trial{byOwner[addr], addr})
	}
	for i := 0; i < len(orphans); i += (len(orphans) + maxOrphans - 1) / maxOrphans {
		trials = append(trials, orphans[i])
	}
	return trials, nil
}

// trialKeysOfCluster returns a new key for each range of slots.
func (s *RedisStore) trialKeysOfCluster() []string {
	keys := make([]string, clusterSlots/slotsOfTrial)
	for found := 0; found < len(keys); {
		key := newTrialKey()
		if at := s.slots.of(key) / slotsOfTrial; keys[at] == "" {
			keys[at] = key
			found++
		}
	}
	return keys
}

// try makes each kind of call once, and reports all missing rights.
func (s *RedisStore) try(ctx context.Context, t trial) error {
	var lacking []string
	denied := false
	note := func(err error, mayMiss ...string) error {
		v := s.verdictOf(ctx, t.addr, err)
		denied = denied || v.denied
		lacking = append(lacking, v.rights...)
		if slices.Contains(mayMiss, v.unknown) {
			return nil
		}
		return v.err
	}
	// By EVAL: the store needs that right on a server that has just started, and EVALSHA would not
	// test it on a server that knows the script.
	if err := note(s.tryCommands(ctx, rueidis.NewLuaScriptNoSha(trialScript), t)); err != nil {
		return err
	}
	// Some proxies and stand-ins lack the read-only commands. Then only peeks fail.
	if err := note(s.tryCommands(ctx, rueidis.NewLuaScriptReadOnlyNoSha(trialScript), t), "EVAL_RO"); err != nil {
		return err
	}
	req := Request{Key: t.key, Limits: trialLimits(1), Cost: 1}
	d, err := s.Take(ctx, req)
	if err := note(err); err != nil {
		return err
	}
	peek := req
	peek.Peek = true
	_, err = s.Take(ctx, peek)
	if err := note(err, "EVAL_RO", "EVALSHA_RO"); err != nil {
		return err
	}
	if err := note(s.Settle(ctx, t.key, d, nil)); err != nil {
		return err
	}
	if err := note(s.Reset(ctx, t.key, req.Limits)); err != nil {
		return err
	}
	switch {
	case denied:
		return lackingRights(t.addr, lacking)
	case !d.Allowed:
		return newSetupError(t.addr, "it refused a key that nobody has used: "+resemblesRedis)
	}
	return nil
}

// tryCommands runs trial.lua.
func (s *RedisStore) tryCommands(ctx context.Context, script *rueidis.Lua, t trial) error {
	return s.await(ctx, s.deadline(ctx), func(ctx context.Context) error {
		failed, err := script.Exec(ctx, s.client, []string{redisKey(s.prefix, t.key, trialLimit)}, nil).AsStrSlice()
		var errs commandErrors
		for i := 0; i+1 < len(failed); i += 2 {
			errs = append(errs, commandError{failed[i], failed[i+1]})
		}
		if err == nil && len(errs) > 0 {
			return errs
		}
		return err
	})
}

// joinDistinct joins errors, and keeps one of those with the same text.
func joinDistinct(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errors.Join(slices.CompactFunc(errs, func(a, b error) bool { return a.Error() == b.Error() })...)
}

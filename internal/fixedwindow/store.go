package fixedwindow

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

//go:embed count.lua
var countScript string

// Store is a [slidingwindow.Store] of fixed windows in Redis. It decides on the clock of the
// Redis server, in whole milliseconds, and is safe for concurrent use. Each call is one round
// trip, bounded by the caller's context only; its errors are those of the client. Keys must
// have no braces.
type Store struct {
	client rueidis.Client
	prefix string
	take   *rueidis.Lua
	peek   *rueidis.Lua
}

var _ slidingwindow.Store = (*Store)(nil)

// NewStore returns a Store over a client, which it does not own, with keys that begin with
// the prefix. Its errors match [slidingwindow.ErrInvalidConfig].
func NewStore(client rueidis.Client, prefix string) (*Store, error) {
	var errs []error
	if client == nil {
		errs = append(errs, fmt.Errorf("%w: client is nil; make one with rueidis.NewClient", slidingwindow.ErrInvalidConfig))
	}
	if prefix == "" {
		errs = append(errs, fmt.Errorf("%w: prefix is empty; allowed: 1 byte or more", slidingwindow.ErrInvalidConfig))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Store{
		client: client,
		prefix: prefix,
		take:   rueidis.NewLuaScript(countScript),
		peek:   rueidis.NewLuaScriptReadOnly(countScript),
	}, nil
}

// Take implements [slidingwindow.Store]: an allowed call on one limit is two commands within
// the script, a refused one three.
func (s *Store) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	if req.Costs != nil || req.AtMost || req.Wait || req.Ahead > 0 {
		return slidingwindow.Decision{}, fmt.Errorf("fixedwindow: a cost per limit, AllowAtMost, Reserve and units ahead: %w", errors.ErrUnsupported)
	}
	script, mode := s.take, "take"
	if req.Peek {
		script, mode = s.peek, "peek"
	}
	args := make([]string, 0, 2+2*len(req.Limits))
	args = append(args, mode, strconv.FormatInt(req.Cost, 10))
	for _, limit := range req.Limits {
		args = append(args, strconv.FormatInt(limit.Max, 10), strconv.FormatInt(wholeMilliseconds(limit.Window), 10))
	}
	reply, err := script.Exec(ctx, s.client, s.keys(req.Key, req.Limits), args).AsIntSlice()
	if err != nil {
		return slidingwindow.Decision{}, fmt.Errorf("fixedwindow: redis: %w", err)
	}
	if len(reply) != 2*len(req.Limits) {
		return slidingwindow.Decision{}, fmt.Errorf("fixedwindow: redis answered %d values, not %d", len(reply), 2*len(req.Limits))
	}
	return decisionOf(req, reply), nil
}

// decisionOf reads the reply of count.lua.
func decisionOf(req slidingwindow.Request, reply []int64) slidingwindow.Decision {
	allowed := true
	for i, limit := range req.Limits {
		allowed = allowed && reply[2*i] <= limit.Max
	}
	granted := req.Cost
	if !allowed || req.Peek {
		granted = 0
	}
	statuses := make([]slidingwindow.Status, len(req.Limits))
	for i, limit := range req.Limits {
		asked, left := reply[2*i], time.Duration(reply[2*i+1])*time.Millisecond
		used := asked - req.Cost + granted
		statuses[i] = slidingwindow.Status{Limit: limit, Remaining: max(0, limit.Max-used)}
		if used > 0 {
			statuses[i].ReplenishAfter = left
		}
		if asked > limit.Max {
			statuses[i].RetryAfter = max(left, time.Millisecond)
		}
	}
	return slidingwindow.NewDecision(granted, statuses...)
}

// Settle implements [slidingwindow.Store] by an error that matches [errors.ErrUnsupported]: a
// counter does not know whose units it holds, nor whether they were settled before.
func (s *Store) Settle(context.Context, string, slidingwindow.Decision, []int64) error {
	return fmt.Errorf("fixedwindow: a counter cannot replace exactly what a call took: %w", errors.ErrUnsupported)
}

// Reset implements [slidingwindow.Store] in one command.
func (s *Store) Reset(ctx context.Context, key string, limits []slidingwindow.Limit) error {
	if err := s.client.Do(ctx, s.client.B().Unlink().Key(s.keys(key, limits)...).Build()).Error(); err != nil {
		return fmt.Errorf("fixedwindow: redis: %w", err)
	}
	return nil
}

// keys are the counters of a key: one hash tag, which the key must not break by braces of
// its own.
func (s *Store) keys(key string, limits []slidingwindow.Limit) []string {
	keys := make([]string, len(limits))
	for i, limit := range limits {
		keys[i] = s.prefix + ":{" + key + "}:" + limit.Name
	}
	return keys
}

func wholeMilliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

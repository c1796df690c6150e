package storetest_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/storetest"
)

// The example is right.
func TestMapStore(t *testing.T) { testMapStore(t) }

// broken is a mapStore with one fault.
type broken struct {
	*mapStore
	take   func(s *mapStore, ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error)
	settle func(s *mapStore, ctx context.Context, key string, d slidingwindow.Decision, units []int64) error
}

func (b broken) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	if b.take == nil {
		return b.mapStore.Take(ctx, req)
	}
	return b.take(b.mapStore, ctx, req)
}

func (b broken) Settle(ctx context.Context, key string, d slidingwindow.Decision, units []int64) error {
	if b.settle == nil {
		return b.mapStore.Settle(ctx, key, d, units)
	}
	return b.settle(b.mapStore, ctx, key, d, units)
}

// withLimits has the store decide on limits that change returns, and answers with those of the request.
func withLimits(change func(*slidingwindow.Limit)) func(*mapStore, context.Context, slidingwindow.Request) (slidingwindow.Decision, error) {
	return func(s *mapStore, ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
		asked := req.Limits
		req.Limits = slices.Clone(asked)
		for i := range req.Limits {
			change(&req.Limits[i])
		}
		d, err := s.Take(ctx, req)
		return withStatuses(d, func(i int, status *slidingwindow.Status) { status.Limit = asked[i] }), err
	}
}

// withStatuses is d after a change of its statuses.
func withStatuses(d slidingwindow.Decision, change func(i int, status *slidingwindow.Status)) slidingwindow.Decision {
	statuses := d.Statuses()
	for i := range statuses {
		change(i, &statuses[i])
	}
	changed := slidingwindow.NewDecision(0, statuses...)
	changed.Delay, changed.Store = d.Delay, d.Store
	return changed
}

// faults has what is wrong with a store, and a subtest that must find it.
var faults = map[string]struct {
	store broken
	finds string
}{
	"a hit leaves its window 1us early": {
		broken{take: withLimits(func(l *slidingwindow.Limit) { l.Window -= time.Microsecond })},
		"Promise1_NeverMoreThanMaxInAnyWindow/edge",
	},
	"Max is one too high": {
		broken{take: withLimits(func(l *slidingwindow.Limit) { l.Max++ })},
		"Promise1_NeverMoreThanMaxInAnyWindow/random",
	},
	"a refusal is counted": {
		broken{take: func(s *mapStore, ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
			d, err := s.Take(ctx, req)
			if err == nil && !d.Allowed && !req.Peek {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.add(logOf{req.Key, d.Limit.Name}, hit{s.now(), 1, 0})
			}
			return d, err
		}},
		"Promise2_ARefusalConsumesNothing/one_limit",
	},
	"limits are asked one after the other": {
		broken{take: func(s *mapStore, ctx context.Context, req slidingwindow.Request) (d slidingwindow.Decision, err error) {
			var statuses []slidingwindow.Status
			for _, limit := range req.Limits {
				one := req
				one.Limits = []slidingwindow.Limit{limit}
				if d, err = s.Take(ctx, one); err != nil {
					return d, err
				}
				statuses = append(statuses, d.Statuses()...)
				if !d.Allowed {
					break
				}
			}
			all := slidingwindow.NewDecision(0, statuses...)
			all.Store = d.Store
			return all, nil
		}},
		"Promise2_ARefusalConsumesNothing/several_limits",
	},
	"RetryAfter is 1us too long": {
		broken{take: func(s *mapStore, ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
			d, err := s.Take(ctx, req)
			return withStatuses(d, func(_ int, status *slidingwindow.Status) {
				if status.RetryAfter > 0 {
					status.RetryAfter += time.Microsecond
				}
			}), err
		}},
		"Promise6_RetryAfterIsExact",
	},
	"units ahead leave as if they were used now": {
		broken{take: func(s *mapStore, ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
			req.Ahead = 0
			return s.Take(ctx, req)
		}},
		"Ahead",
	},
	"a decorator drops the receipts": {
		broken{take: func(s *mapStore, ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
			d, err := s.Take(ctx, req)
			return withStatuses(d, func(_ int, status *slidingwindow.Status) { status.Receipt = 0 }), err
		}},
		"Refund/once",
	},
	"Decisions of other stores are settled": {
		broken{settle: func(s *mapStore, ctx context.Context, key string, d slidingwindow.Decision, units []int64) error {
			d.Store = storeName
			return s.Settle(ctx, key, d, units)
		}},
		"Settle/foreign",
	},
	"a call whose context has ended takes units": {
		broken{take: func(s *mapStore, ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
			return s.Take(context.WithoutCancel(ctx), req)
		}},
		"Context",
	},
}

// faultEnv names the fault of the store that this program tests when it runs again, as a process of its
// own: a suite that fails would fail the test that runs it.
const faultEnv = "RATELIMIT_TEST_FAULT"

func TestSuiteFindsWhatIsWrong(t *testing.T) {
	if fault, runsAgain := faults[os.Getenv(faultEnv)]; runsAgain {
		storetest.Run(t, func(*testing.T) storetest.Harness {
			clock := storetest.Epoch
			store := fault.store
			store.mapStore = &mapStore{now: func() time.Time { return clock }, logs: map[logOf][]hit{}}
			return storetest.Harness{Store: store, Keeps: true, Advance: func(d time.Duration) { clock = clock.Add(d) }}
		})
		return
	}
	t.Parallel()
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			again := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-rapid.nofailfile", "-rapid.shrinktime=0s", //nolint:gosec // this program
				"-test.run=^TestSuiteFindsWhatIsWrong$/^"+strings.ReplaceAll(fault.finds, "/", "$/^")+"$")
			again.Env = append(os.Environ(), faultEnv+"="+name)
			output, err := again.CombinedOutput()
			var failed *exec.ExitError
			assert.ErrorAs(t, err, &failed, "%s", output)
			assert.Contains(t, string(output), "--- FAIL: TestSuiteFindsWhatIsWrong/"+fault.finds)
		})
	}
}

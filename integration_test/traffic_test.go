package integration_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const callers = 16

// traffic makes calls of many callers until it is ended, and counts what comes of them.
type traffic struct {
	stop func()
	done sync.WaitGroup

	mu      sync.Mutex
	allowed int64
	refused int64
	errs    map[string]int64 // by their text
	unnamed []error          // that are no ErrStoreUnavailable
	worst   time.Duration    // the longest call
	firstAt time.Time        // of the first error
	lastAt  time.Time        // of the last one
}

func startTraffic(t *testing.T, l *slidingwindow.Limiter, keys []string) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	tr := &traffic{stop: cancel, errs: map[string]int64{}}
	for i := range callers {
		tr.done.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				began := time.Now()
				d, err := l.Allow(context.WithoutCancel(ctx), keys[n%len(keys)])
				tr.note(d, err, time.Since(began))
				if err != nil {
					time.Sleep(time.Millisecond) // as one does who was answered 503
				}
			}
		})
	}
	t.Cleanup(tr.end)
	return tr
}

func (tr *traffic) end() {
	tr.stop()
	tr.done.Wait()
}

func (tr *traffic) note(d slidingwindow.Decision, err error, took time.Duration) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.worst = max(tr.worst, took)
	switch {
	case err != nil:
		tr.lastAt = time.Now()
		if tr.firstAt.IsZero() {
			tr.firstAt = tr.lastAt
		}
		text := strings.TrimPrefix(err.Error(), slidingwindow.ErrStoreUnavailable.Error()+": ")
		if strings.Contains(text, " tcp ") { // it names ports
			text = text[strings.LastIndex(text, ": ")+2:]
		}
		tr.errs[text]++
		if !errors.Is(err, slidingwindow.ErrStoreUnavailable) {
			tr.unnamed = append(tr.unnamed, err)
		}
	case d.Allowed:
		tr.allowed++
	default:
		tr.refused++
	}
}

func (tr *traffic) counts() (allowed, errs int64) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, n := range tr.errs {
		errs += n
	}
	return tr.allowed, errs
}

// awaitAllowed waits until so many more calls have been allowed.
func (tr *traffic) awaitAllowed(t *testing.T, more int64) {
	t.Helper()
	before, _ := tr.counts()
	require.Eventually(t, func() bool { now, _ := tr.counts(); return now >= before+more }, patience, poll)
}

func (tr *traffic) awaitError(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { _, errs := tr.counts(); return errs > 0 }, patience, poll)
}

// check ends the traffic and compares what was allowed with what the logs hold. A new master
// may lack what was not copied to it; what is in a log was allowed, or ended in an error
// after it was counted.
func (tr *traffic) check(t *testing.T, counted func() int64) {
	t.Helper()
	tr.end()
	allowed, errs := tr.counts()
	units := counted()
	t.Logf("allowed %d, of which lost %d; errors for %v: %v; the longest call %v",
		allowed, allowed-units, tr.lastAt.Sub(tr.firstAt).Round(time.Millisecond), tr.errs, tr.worst.Round(time.Millisecond))
	assert.LessOrEqual(t, units, allowed+errs)
	assert.Zero(t, tr.refused)
	assert.Empty(t, tr.unnamed, "errors that are no ErrStoreUnavailable")
}

package guard

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

const (
	// An outage begins after this many failures in a row, over at least this time. A broken batch or
	// connection fails many calls at one moment, and is no outage.
	failuresInARow = 5
	failingFor     = 500 * time.Millisecond

	// Failures farther apart than this are not one row. There may have been refusals between them,
	// and these do not show whether the store was well.
	rowEnds = 10 * time.Second

	maxToldCodes = 8
)

// breaker finds out whether one part of a store is in an outage. It is told of takes that
// failed and of those that were granted units, which needed a write. Nothing else is
// evidence: a store that takes no writes still peeks and refuses.
//
//	well  --five failures in a row-->  outage  --a granted probe-->  well
type breaker struct {
	part string // its name

	failing atomic.Bool // failures > 0, for granted
	current atomic.Pointer[outage]

	mu          sync.Mutex
	failures    int // in a row
	first, last time.Time
	probing     bool
}

// outage is one outage of a part. It is not changed once it is made.
type outage struct {
	began time.Time
	key   string   // of a call that failed: what to probe with
	err   error    // why
	told  []string // codes of the replies that were logged
}

// out returns the outage that is under way, or nil.
func (b *breaker) out() *outage { return b.current.Load() }

// granted notes a take that was granted units. It does not end an outage: the take was sent before
// the outage began, and the beginning must be logged before the end.
func (b *breaker) granted() {
	if !b.failing.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
	b.failing.Store(false)
}

// failed notes a take that the store could not decide. It returns the outage that begins with it,
// or nil.
func (b *breaker) failed(key string, err error) *outage {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.out() != nil {
		return nil
	}
	now := time.Now()
	if b.failures == 0 || now.Sub(b.last) > rowEnds {
		b.failures, b.first = 0, now
	}
	b.failures++
	b.last = now
	b.failing.Store(true)
	if b.failures < failuresInARow || now.Sub(b.first) < failingFor {
		return nil
	}
	begun := &outage{began: now, key: key, err: err}
	if code := codeOf(err); code != "" {
		begun.told = []string{code}
	}
	b.current.Store(begun)
	return begun
}

// startProbe returns the outage to probe, or nil if there is none or a probe is under way.
func (b *breaker) startProbe() *outage {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probing {
		return nil
	}
	b.probing = b.out() != nil
	return b.out()
}

// endProbe notes the end of a probe. err is nil if the part is well again. news reports whether err
// is a reply of Redis whose code is new in this outage.
func (b *breaker) endProbe(err error) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	if err == nil {
		b.failures = 0
		b.failing.Store(false)
		b.current.Store(nil)
		return false
	}
	next := *b.out()
	next.err = err
	code := codeOf(err)
	news = code != "" && len(next.told) < maxToldCodes && !slices.Contains(next.told, code)
	if news {
		next.told = append(slices.Clone(next.told), code)
	}
	b.current.Store(&next)
	return news
}

// codeOf returns the code of the reply of Redis that err comes from, or "".
func codeOf(err error) string {
	var reply *slidingwindow.ReplyError
	if errors.As(err, &reply) {
		return reply.Code
	}
	return ""
}

//go:build unix

package faults_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/redisserver"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// startServerWithClock starts a Redis whose clock can be set off by whole seconds.
func startServerWithClock(t *testing.T) (s *server, set func(seconds int)) {
	t.Helper()
	process, err := redisserver.StartWithClock(t.Context())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	s = serverOf(t, process, err)
	return s, func(seconds int) {
		require.NoError(t, s.SetClock(seconds))
		before := time.Now().Unix()
		told, err := strconv.ParseInt(s.do("EVAL", "return redis.call('TIME')[1]", "0"), 10, 64)
		require.NoError(t, err)
		require.GreaterOrEqual(t, told, before+int64(seconds))
		require.LessOrEqual(t, told, time.Now().Unix()+int64(seconds))
	}
}

// The log counts each hit at the time that Redis's clock said, and never before the one
// before it: so no window of the log's own times holds more than Max, and what was
// counted before the clock was set back counts until the clock has caught up.
func TestClockSteps(t *testing.T) {
	for _, test := range []struct {
		fault  string
		offset int
		after  time.Duration
	}{
		{"clock set forward 1 h", 3600, 0},
		{"clock set back 1 s", -1, 2500 * time.Millisecond},
		{"clock set back 1 h", -3600, 0},
	} {
		t.Run(test.fault, func(t *testing.T) {
			s, set := startServerWithClock(t)
			scenario{
				Fault: test.fault, URL: s.URL(), After: test.after, Harmless: true,
				// Set forward, every hit leaves its window at once, so a key gets one Max more.
				MayLose: 1,
				Inject:  func() { set(test.offset) },
			}.run(t)
		})
	}
}

// A key that was at its limit when the clock was set back is refused for the step and the
// window, and no longer.
func TestLockOutOfAClockSetBack(t *testing.T) {
	const step = 2 * time.Hour
	limit := slidingwindow.PerHour(5)
	s, set := startServerWithClock(t)
	// Without the client's cache, which is right by the client's clock.
	limiter := connect(t, patient(s.URL()+"?client_cache=0"), patience, limit)
	allow := func() slidingwindow.Decision {
		d, err := limiter.Allow(t.Context(), "k")
		require.NoError(t, err)
		return d
	}
	for range limit.Max {
		require.True(t, allow().Allowed)
	}
	set(-int(step.Seconds()))
	refused := allow()
	require.False(t, refused.Allowed)
	assert.LessOrEqual(t, refused.RetryAfter, step+limit.Window)
	assert.Greater(t, refused.RetryAfter, limit.Window)
	set(int((refused.RetryAfter - step - 10*time.Minute).Seconds()))
	assert.False(t, allow().Allowed)
	set(int((refused.RetryAfter - step).Seconds()) + 1)
	assert.True(t, allow().Allowed)
}

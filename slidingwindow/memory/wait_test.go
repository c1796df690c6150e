package memory_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/internal/naive"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// Waiters act at their places, one after another, while others ask for units at once.
func TestWaitersActInTheOrderOfAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiters = 40
		limit := slidingwindow.Limit{Max: 4, Window: 10 * time.Second}
		l := newLimiter(t, newMemoryStore(t, memory.Config{}), limit)
		began := time.Now()
		uses := make(chan naive.Hit, waiters)
		order := make(chan int, waiters)
		for i := range waiters {
			go func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				if assert.NoError(t, l.Wait(t.Context(), "k")) {
					uses <- naive.Hit{At: time.Since(began), Units: 1}
					order <- i
				}
			}()
		}
		for range 60 {
			time.Sleep(time.Second)
			assert.False(t, allow(t, l, "k"), "nobody jumps the line")
		}
		time.Sleep(limit.Window * waiters)
		synctest.Wait()
		close(uses)
		close(order)
		last := -1
		for i := range order {
			require.Greater(t, i, last)
			last = i
		}
		require.Equal(t, waiters-1, last)
		var hits []naive.Hit
		for hit := range uses {
			hits = append(hits, hit)
		}
		naive.CheckWindows(t, hits, limit)
		assert.Less(t, hits[waiters-1].At, (waiters/4-1)*limit.Window+waiters*time.Millisecond, "the whole quota was used")
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, newMemoryStore(t, memory.Config{}), slidingwindow.PerMinute(1))
		require.NoError(t, l.Wait(t.Context(), "k"))
		began := time.Now()

		short, cancel := context.WithTimeout(t.Context(), time.Minute-1)
		defer cancel()
		require.ErrorIs(t, l.Wait(short, "k"), slidingwindow.ErrWaitTooLong)
		assert.Zero(t, time.Since(began), "at once")

		cancelled, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Second, cancel)
		require.ErrorIs(t, l.Wait(cancelled, "k"), context.Canceled)
		assert.Equal(t, 20*time.Second, time.Since(began))

		enough, cancel := context.WithTimeout(t.Context(), 40*time.Second+1)
		defer cancel()
		require.NoError(t, l.Wait(enough, "k"), "the place that was given back")
		assert.Equal(t, time.Minute, time.Since(began))
	})
}

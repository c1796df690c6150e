//go:build !race

package slidingwindow_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// nobody is an Observer that does nothing.
type nobody struct{}

func (nobody) Decided(context.Context, slidingwindow.Decided)                 {}
func (nobody) Waits(context.Context, slidingwindow.Limit) (ended func(error)) { return nil }
func (nobody) Settled(context.Context, slidingwindow.Settled)                 {}

func TestAnObserverCostsNoAllocations(t *testing.T) {
	l := newLimiter(t, memory.New(), slidingwindow.Limit{Name: "steady", Max: 1, Window: time.Hour})
	allow(t, l, "k")
	for name, l := range map[string]*slidingwindow.Limiter{"without one": l, "with one": l.WithObserver(nobody{})} {
		assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = l.Allow(t.Context(), "k") }), name)
	}
}

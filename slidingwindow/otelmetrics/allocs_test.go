//go:build !race

package otelmetrics_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/otelmetrics"
)

func TestMeasuringAllocatesNothing(t *testing.T) {
	l := slidingwindow.MustNew(memory.New(), slidingwindow.Limit{Name: "api", Max: 1, Window: time.Hour}).WithObserver(measure(t, otelmetrics.Config{}).observer)
	call(t, l, "k")
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = l.Allow(t.Context(), "k") }))
}

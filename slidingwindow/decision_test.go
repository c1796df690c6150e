package slidingwindow_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

func TestBindingLimit(t *testing.T) {
	t.Parallel()
	status := func(name string, remaining int64, retry time.Duration) slidingwindow.Status {
		return slidingwindow.Status{Limit: slidingwindow.Limit{Name: name}, Remaining: remaining, RetryAfter: retry}
	}
	for _, test := range []struct {
		statuses []slidingwindow.Status
		want     string
		allowed  bool
	}{
		{[]slidingwindow.Status{status("a", 5, 0)}, "a", true},
		{[]slidingwindow.Status{status("a", 5, 0), status("b", 4, 0)}, "b", true},
		{[]slidingwindow.Status{status("a", 5, 0), status("b", 5, 0)}, "a", true},
		{[]slidingwindow.Status{status("a", 0, 0), status("b", 3, time.Second)}, "b", false},
		{[]slidingwindow.Status{status("a", 0, time.Hour), status("b", 0, time.Second)}, "a", false},
		{[]slidingwindow.Status{status("a", 2, time.Second), status("b", 1, time.Second)}, "b", false},
	} {
		d := slidingwindow.NewDecision(0, test.statuses...)
		assert.Equal(t, test.want, d.Limit.Name)
		assert.Equal(t, test.allowed, d.Allowed)
		assert.Equal(t, test.statuses, d.Statuses())
	}
	assert.Equal(t, slidingwindow.Decision{}, slidingwindow.NewDecision(1))
}

// Copies of a Decision share nothing that a caller can change.
func TestStatusesAreTheCallersOwn(t *testing.T) {
	t.Parallel()
	minute, hour := slidingwindow.Status{Limit: slidingwindow.PerMinute(5), Remaining: 3}, slidingwindow.Status{Limit: slidingwindow.PerHour(9), Remaining: 8}
	for _, statuses := range [][]slidingwindow.Status{{minute}, {minute, hour}} {
		d := slidingwindow.NewDecision(2, statuses...)
		want := d.Statuses()
		for _, changed := range [][]slidingwindow.Status{d.Statuses(), d.AppendStatuses(nil)} {
			changed[0].Granted = 100
			changed[0].Receipt = 7
			_ = append(changed, hour)
			assert.Equal(t, want, d.Statuses())
		}
		assert.Equal(t, append([]slidingwindow.Status{hour}, want...), d.AppendStatuses([]slidingwindow.Status{hour}))
	}
	assert.Nil(t, slidingwindow.Decision{}.Statuses())
}

func TestAppendStatusesAllocatesNothingIfThereIsRoom(t *testing.T) {
	two := slidingwindow.NewDecision(1, slidingwindow.Status{Limit: slidingwindow.PerMinute(5)}, slidingwindow.Status{Limit: slidingwindow.PerHour(9)})
	for _, d := range []slidingwindow.Decision{two, slidingwindow.NewDecision(1, two.Statuses()[0])} {
		var room [2]slidingwindow.Status
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = d.AppendStatuses(room[:0]) }))
	}
}

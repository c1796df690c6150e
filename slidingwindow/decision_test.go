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

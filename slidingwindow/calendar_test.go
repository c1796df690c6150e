package slidingwindow_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

// Zones where clocks are set at midnight, by half an hour, or past a whole day, too.
var zones = []string{
	"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Asuncion", "America/Havana", "America/St_Johns",
	"Asia/Beirut", "Asia/Kathmandu", "Asia/Tehran", "Atlantic/Azores", "Africa/Cairo", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati",
}

func calendarAt(t *testing.T, zone string) (*calendar, *clock) {
	t.Helper()
	clock := newClock()
	c, err := newCalendar(newMemoryStore(t, memory.Config{Clock: clock.Now}), zone, clock.Now)
	require.NoError(t, err)
	return c, clock
}

// Each period ends at the very moment at which the next one begins.
func TestCalendarPeriodsFollowEachOther(t *testing.T) {
	t.Parallel()
	for _, zone := range zones {
		c, clock := calendarAt(t, zone)
		for _, period := range []func(int64) slidingwindow.Limit{c.month, c.day} {
			clock.now = time.Date(2009, time.December, 31, 12, 0, 0, 0, c.zone)
			for clock.now.Year() < 2031 {
				limit := period(1)
				end, ok := c.end(limit.Name)
				require.True(t, ok)
				require.Less(t, end.Sub(clock.now), limit.Window, "%s in %s", limit.Name, zone)
				clock.now = end.Add(-time.Microsecond)
				require.Equal(t, limit.Name, period(1).Name, "before its end, in %s", zone)
				clock.now = end
				require.NotEqual(t, limit.Name, period(1).Name, "at its end, in %s", zone)
			}
		}
	}
}

func TestCalendarQuota(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		zone, begin string
		period      func(*calendar, int64) slidingwindow.Limit
		hours       int
	}{
		{"Europe/Berlin", "2026-03-29", (*calendar).day, 23},
		{"Europe/Berlin", "2026-10-25", (*calendar).day, 25},
		{"Europe/Berlin", "2026-11-03", (*calendar).day, 24},
		{"America/Sao_Paulo", "2017-10-15", (*calendar).day, 23}, // has no midnight
		{"America/Havana", "2025-11-02", (*calendar).day, 25},    // has two
		{"Europe/Berlin", "2026-10-01", (*calendar).month, 31*24 + 1},
		{"Europe/Berlin", "2026-03-01", (*calendar).month, 31*24 - 1},
		{"UTC", "2028-02-01", (*calendar).month, 29 * 24},
		{"UTC", "2100-02-01", (*calendar).month, 28 * 24},
		{"UTC", "2026-12-01", (*calendar).month, 31 * 24},
	} {
		c, clock := calendarAt(t, test.zone)
		date, err := time.Parse(time.DateOnly, test.begin)
		require.NoError(t, err)
		clock.now = c.midnight(date)
		base := newLimiter(t, c, slidingwindow.PerSecond(1))
		take := func() slidingwindow.Decision {
			l, err := base.WithLimits(test.period(c, 3))
			require.NoError(t, err)
			d, err := l.Allow(t.Context(), "k")
			require.NoError(t, err)
			return d
		}
		length := time.Duration(test.hours) * time.Hour
		require.True(t, take().Allowed)
		assert.Equal(t, length, take().ReplenishAfter, "%s in %s", test.begin, test.zone)
		clock.Advance(length - time.Minute)
		require.True(t, take().Allowed)
		refused := take()
		assert.False(t, refused.Allowed, "what was used at the begin counts to the end")
		assert.Equal(t, time.Minute, refused.RetryAfter)
		assert.Equal(t, slidingwindow.ReasonRefused, refused.Reason)
		clock.Advance(time.Minute)
		for i := range 4 {
			d := take()
			assert.Equal(t, i < 3, d.Allowed, "%s in %s", test.begin, test.zone)
			assert.Equal(t, test.period(c, 3), d.Limit)
		}
	}
}

// What was taken is given back although the decorator made another Decision of it.
func TestCalendarRefund(t *testing.T) {
	t.Parallel()
	c, _ := calendarAt(t, "Asia/Tehran")
	l := newLimiter(t, c, c.month(2), c.day(1), slidingwindow.PerHour(5))
	d, err := l.Allow(t.Context(), "k")
	require.NoError(t, err)
	assert.False(t, allow(t, l, "k"))
	require.NoError(t, l.Refund(t.Context(), "k", d))
	assert.True(t, allow(t, l, "k"))
}

func TestCalendarRefusesUnknownZones(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Berln", "", "Local", "../etc/passwd"} {
		_, err := newCalendar(memory.New(), zone, time.Now)
		require.Error(t, err, "%q", zone)
		assert.ErrorContains(t, err, "allowed: a name of the IANA database")
	}
}

// The page shows the code that is tested here.
func TestCalendarDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/calendar.md")
	require.NoError(t, err)
	code, err := os.ReadFile("calendar_example_test.go")
	require.NoError(t, err)
	blocks := strings.Split(string(page), "```go\n")[1:]
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		assert.Contains(t, string(code), block)
	}
}

package slidingwindow_test

import (
	"context"
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // for containers without a time zone database

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow/memory"
)

const (
	monthNames = "month 2006-01" // layouts of package time
	dayNames   = "day 2006-01-02"
)

// calendar is a Store for limits of calendar months and days in a time zone: each has a
// log of its own, which begins empty.
type calendar struct {
	slidingwindow.Store
	zone *time.Location
	now  func() time.Time
}

func newCalendar(store slidingwindow.Store, zone string, now func() time.Time) (*calendar, error) {
	location, err := time.LoadLocation(zone)
	if zone == "" || zone == "Local" {
		err = errors.New("it differs from machine to machine") // "" is UTC: say so
	}
	if err != nil {
		return nil, fmt.Errorf("zone is %q; allowed: a name of the IANA database, such as Europe/Berlin or UTC: %w", zone, err)
	}
	return &calendar{Store: store, zone: location, now: now}, nil
}

// month allows so many units in this calendar month. Its Window is longer than any month, so nothing
// leaves before the end; its Resolution makes the log one entry or two.
func (c *calendar) month(max int64) slidingwindow.Limit {
	const window = 32 * 24 * time.Hour
	return slidingwindow.Limit{Name: c.now().In(c.zone).Format(monthNames), Max: max, Window: window, Resolution: window}
}

// day allows so many units on this day, which may have 25 hours.
func (c *calendar) day(max int64) slidingwindow.Limit {
	const window = 48 * time.Hour
	return slidingwindow.Limit{Name: c.now().In(c.zone).Format(dayNames), Max: max, Window: window, Resolution: window}
}

// Take has the Decision tell the time to the end of the month or the day, for headers and
// retries.
func (c *calendar) Take(ctx context.Context, req slidingwindow.Request) (slidingwindow.Decision, error) {
	d, err := c.Store.Take(ctx, req)
	if err != nil {
		return d, err
	}
	statuses := d.Statuses()
	for i := range statuses {
		s := &statuses[i]
		end, ok := c.end(s.Limit.Name)
		if !ok {
			continue
		}
		left := max(time.Microsecond, end.Sub(c.now()))
		if s.RetryAfter > 0 {
			s.RetryAfter = left
		}
		if s.ReplenishAfter > 0 {
			s.ReplenishAfter = left
		}
	}
	told := slidingwindow.NewDecision(0, statuses...)
	told.Reason, told.Delay, told.Store = d.Reason, d.Delay, d.Store
	return told, nil
}

// end is when the period of a limit of that name ends.
func (c *calendar) end(name string) (end time.Time, ok bool) {
	if begin, err := time.Parse(monthNames, name); err == nil {
		return c.midnight(begin.AddDate(0, 1, 0)), true
	}
	if begin, err := time.Parse(dayNames, name); err == nil {
		return c.midnight(begin.AddDate(0, 0, 1)), true
	}
	return end, false
}

// midnight is when a date begins. Where clocks are set at midnight, time.Date may be an hour off.
func (c *calendar) midnight(date time.Time) time.Time {
	t := time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, c.zone)
	for t.Format(time.DateOnly) < date.Format(time.DateOnly) {
		t = t.Add(time.Hour) // there is no midnight
	}
	for t.Add(-time.Hour).Day() == t.Day() {
		t = t.Add(-time.Hour) // there are two
	}
	return t
}

// A quota of a calendar month in the customer's time zone, beside one of the sliding kind.
func Example_calendarMonth() {
	now := time.Date(2026, time.October, 31, 23, 0, 0, 0, time.UTC) // November has begun in Berlin
	calendar, err := newCalendar(memory.New(), "Europe/Berlin", func() time.Time { return now })
	if err != nil {
		panic(err)
	}
	limiter := slidingwindow.MustNew(calendar, slidingwindow.PerSecond(10))
	call := func() {
		thisMonth, err := limiter.WithLimits(calendar.month(2), slidingwindow.PerSecond(10))
		if err != nil {
			panic(err)
		}
		d, err := thisMonth.Allow(context.Background(), "customer:42")
		if err != nil {
			panic(err)
		}
		fmt.Println(d.Limit.Name, d.Allowed, d.Remaining, d.RetryAfter)
	}
	call()
	now = now.Add(10 * 24 * time.Hour)
	call()
	call()
	now = now.Add(20 * 24 * time.Hour) // December in Berlin
	call()
	// Output:
	// month 2026-11 true 1 0s
	// month 2026-11 true 0 0s
	// month 2026-11 false 0 480h0m0s
	// month 2026-12 true 1 0s
}

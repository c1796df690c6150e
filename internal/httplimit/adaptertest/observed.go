package adaptertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-e8747a6b/ratelimit/internal/httplimit"
	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

// nearLimit: once for a key and a limit, before it refuses.
func nearLimit(t *testing.T, adapter Adapter) {
	for name, test := range map[string]struct {
		share  float64
		limits []slidingwindow.Limit
		want   []string
	}{
		"by default": {0, []slidingwindow.Limit{api(10)}, []string{"a api 2 left", "b api 2 left"}},
		"a half":     {0.5, []slidingwindow.Limit{api(10)}, []string{"a api 5 left", "b api 5 left"}},
		"all":        {1, []slidingwindow.Limit{api(10)}, []string{"a api 0 left", "b api 0 left"}},
		"the looser one of two": {0.5, []slidingwindow.Limit{api(100), {Name: "day", Max: 20, Window: 24 * time.Hour}, {Name: "tight", Max: 12, Window: time.Hour}},
			[]string{"a tight 6 left", "a day 10 left", "b tight 6 left", "b day 10 left"}},
		"of nothing": {0.5, []slidingwindow.Limit{api(0)}, nil},
	} {
		var told []string
		s := adapter.limited(t, Limit{Keys: []string{"header:X-Key"}, Config: httplimit.Config[Exchange]{
			Limiter:   newLimiter(t, test.limits...),
			NearLimit: test.share,
			OnNearLimit: func(x Exchange, near slidingwindow.Status) {
				told = append(told, fmt.Sprintf("%s %s %d left", x.Request.Header.Get("X-Key"), near.Limit.Name, near.Remaining))
			},
		}})
		for _, key := range []string{"a", "b"} {
			for range 13 { // the last ones are refused
				s.get("X-Key", key)
			}
		}
		assert.Equal(t, test.want, told, name)
	}
}

// counted is an Observer that counts by reason.
type counted map[slidingwindow.Reason]int

func (c counted) Decided(_ context.Context, d slidingwindow.Decided)             { c[d.Decision.Reason]++ }
func (c counted) Waits(context.Context, slidingwindow.Limit) (ended func(error)) { return nil }
func (c counted) Settled(context.Context, slidingwindow.Settled)                 {}

// offIsObserved: a limiter that is off is not asked, and counts all the same for who observes it.
func offIsObserved(t *testing.T, adapter Adapter) {
	told := counted{}
	limiter := newLimiter(t, api(1)).WithObserver(told)
	s := adapter.limited(t, Limit{Config: httplimit.Config[Exchange]{Limiter: limiter}})
	s.get()
	s.get()
	limiter.SetMode(slidingwindow.ModeShadow)
	s.get()
	limiter.SetMode(slidingwindow.ModeOff)
	s.get()
	s.get()
	assert.Equal(t, counted{slidingwindow.ReasonAllowed: 1, slidingwindow.ReasonRefused: 1, slidingwindow.ReasonShadow: 1, slidingwindow.ReasonOff: 2}, told)
}

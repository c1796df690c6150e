package httplimit

import (
	"math"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-e8747a6b/ratelimit/slidingwindow"
)

var (
	burst = slidingwindow.Limit{Name: "burst", Max: 10, Window: time.Second}
	daily = slidingwindow.Limit{Name: "daily", Max: 1000, Window: 24 * time.Hour}
	odd   = slidingwindow.Limit{Name: `a "quoted" \ name;t=9, x`, Max: 1, Window: 1500 * time.Millisecond}
)

func TestPolicy(t *testing.T) {
	for want, limits := range map[string][]slidingwindow.Limit{
		`"api";q=100;w=900`:                              {{Name: "api", Max: 100, Window: 15 * time.Minute}},
		`"burst";q=10;w=1, "daily";q=1000;w=86400`:       {burst, daily},
		`"closed";q=0;w=1`:                               {{Name: "closed", Max: 0, Window: time.Millisecond}},
		`"a \"quoted\" \\ name;t=9, x";q=1;w=2`:          {odd},
		`"most";q=999999999999999;w=315360000`:           {{Name: "most", Max: maxInteger, Window: 10 * 365 * 24 * time.Hour}},
		`"just over";q=1;w=61`:                           {{Name: "just over", Max: 1, Window: time.Minute + time.Microsecond}},
		`"100-per-1m";q=100;w=60, "9-per-1h";q=9;w=3600`: {slidingwindow.PerMinute(100), slidingwindow.PerHour(9)},
	} {
		assert.Equal(t, want, listPolicy(limits, nil))
		parsed, err := httpsfv.UnmarshalList([]string{want})
		require.NoError(t, err)
		canonical, err := httpsfv.Marshal(parsed)
		require.NoError(t, err)
		assert.Equal(t, canonical, want, "the canonical form of RFC 9651")
	}
}

func TestRateLimitItems(t *testing.T) {
	for name, test := range map[string]struct {
		limits     []slidingwindow.Limit
		decision   slidingwindow.Decision
		retryAfter int64
		want       []string
	}{
		"allowed": {
			[]slidingwindow.Limit{burst},
			slidingwindow.NewDecision(1, slidingwindow.Status{Limit: burst, Remaining: 9, ReplenishAfter: time.Second}),
			0, []string{`"burst";r=9;t=1`},
		},
		"rounded up": {
			[]slidingwindow.Limit{daily},
			slidingwindow.NewDecision(1, slidingwindow.Status{Limit: daily, Remaining: 999, ReplenishAfter: time.Hour + 1}),
			0, []string{`"daily";r=999;t=3601`},
		},
		"under a millisecond": {
			[]slidingwindow.Limit{burst},
			slidingwindow.NewDecision(1, slidingwindow.Status{Limit: burst, ReplenishAfter: 1}),
			0, []string{`"burst";r=0;t=1`},
		},
		"nothing to reset": {
			[]slidingwindow.Limit{burst},
			slidingwindow.NewDecision(0, slidingwindow.Status{Limit: burst, Remaining: 10}),
			0, []string{`"burst";r=10`},
		},
		"several, allowed": {
			[]slidingwindow.Limit{burst, daily},
			slidingwindow.NewDecision(1,
				slidingwindow.Status{Limit: burst, Remaining: 9, ReplenishAfter: time.Second},
				slidingwindow.Status{Limit: daily, Remaining: 1, ReplenishAfter: time.Hour}),
			0, []string{`"burst";r=9;t=1, "daily";r=1;t=3600`},
		},
		"refused": {
			[]slidingwindow.Limit{burst},
			slidingwindow.NewDecision(0, slidingwindow.Status{Limit: burst, RetryAfter: 300 * time.Millisecond, ReplenishAfter: 100 * time.Millisecond}),
			1, []string{`"burst";r=0;t=1`},
		},
		"refused at a cost above what remains": {
			[]slidingwindow.Limit{daily},
			slidingwindow.NewDecision(0, slidingwindow.Status{Limit: daily, Remaining: 2, RetryAfter: time.Hour, ReplenishAfter: time.Minute}),
			3600, []string{`"daily";r=2;t=3600`},
		},
		"refused by the short one: the reset of the long one would come after Retry-After": {
			[]slidingwindow.Limit{burst, daily},
			slidingwindow.NewDecision(0,
				slidingwindow.Status{Limit: burst, RetryAfter: time.Second, ReplenishAfter: time.Second},
				slidingwindow.Status{Limit: daily, Remaining: 5, ReplenishAfter: time.Hour}),
			1, []string{`"burst";r=0;t=1, "daily";r=5`},
		},
		"refused by the long one": {
			[]slidingwindow.Limit{burst, daily},
			slidingwindow.NewDecision(0,
				slidingwindow.Status{Limit: burst, Remaining: 9, ReplenishAfter: time.Second},
				slidingwindow.Status{Limit: daily, RetryAfter: time.Hour, ReplenishAfter: time.Hour}),
			3600, []string{`"burst";r=9;t=1, "daily";r=0;t=3600`},
		},
		"escaped": {
			[]slidingwindow.Limit{odd},
			slidingwindow.NewDecision(1, slidingwindow.Status{Limit: odd, ReplenishAfter: time.Second}),
			0, []string{`"a \"quoted\" \\ name;t=9, x";r=0;t=1`},
		},
		"out of the range of a header": {
			[]slidingwindow.Limit{burst, daily},
			slidingwindow.NewDecision(1,
				slidingwindow.Status{Limit: burst, Remaining: -1, ReplenishAfter: time.Second},
				slidingwindow.Status{Limit: daily, Remaining: math.MaxInt64, ReplenishAfter: math.MaxInt64}),
			0, []string{`"burst";r=0;t=1, "daily";r=999999999999999;t=9223372037`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := written(HeadersDraft11, test.decision, test.retryAfter, test.limits...)
			assert.Equal(t, test.want, h.Values("RateLimit"))
			assert.Equal(t, []string{listPolicy(test.limits, nil)}, h.Values("RateLimit-Policy"))
		})
	}
}
